/* split: prepared images + outcomes -> COHORT.h5, split.csv and the list of what was left out. The
 * options and the order of the steps; each step has its file. dicom.md 4 and 6, design.md 5. */
#include "preprocess/split_job.h"

#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define AT(f) offsetof(split_cfg, f)
static const cfg_option table[] = {
    {"split.mode", CFG_ENUM, AT(mode), "fractions", 0, 0,
     "fractions|kfold|leave_site_out|leave_vendor_out|temporal|column", "",
     "how patients are divided: by the shares below; k folds, one of them for validation; one site "
     "or vendor, or all exams from a day on, for the test; as a column of the label table says"},
    {"split.test_fraction", CFG_REAL, AT(test_fraction), "0.2", 0, 0.95, NULL, "",
     "share of patients kept for the final test, at natural class frequencies"},
    {"split.val_fraction", CFG_REAL, AT(val_fraction), "0.1", 0, 0.95, NULL, "",
     "share of patients with cancer used for validation"},
    {"split.val", CFG_ENUM, AT(val), "balanced", 0, 0, "balanced|natural", "",
     "balanced: as many patients without as with cancer in validation; natural: the same share"},
    {"split.val_natural_fraction", CFG_REAL, AT(val_natural_fraction), "0", 0, 0.95, NULL, "",
     "share of patients for a second validation set, val_natural, at natural class frequencies"},
    {"split.strata", CFG_TEXTS, AT(strata_words), "outcome, vendor", 0, 0, NULL, "",
     "what every fold gets its share of: outcome, vendor, site, year (5 of the first exam), age "
     "(10 years), density"},
    {"split.folds", CFG_INT, AT(folds), "4", 2, SPLIT_FOLDS_MOST, NULL, "",
     "mode kfold: number of folds, made of all patients that split.test_fraction leaves"},
    {"split.fold", CFG_INT, AT(fold), "0", 0, SPLIT_FOLDS_MOST - 1, NULL, "",
     "mode kfold: the fold that is the validation set; the others are the training set"},
    {"split.leave_out", CFG_TEXT, AT(leave_out), "", 0, 0, NULL, "",
     "modes leave_site_out, leave_vendor_out: the site or vendor that only the test sees"},
    {"split.test_from", CFG_TEXT, AT(test_from_text), "", 0, 0, NULL, "",
     "mode temporal: exams from this day on (YYYY-MM-DD) are the test set; earlier exams of their "
     "patients are left out"},
    {"split.aliases", CFG_TEXT, AT(aliases), "", 0, 0, NULL, "",
     "CSV with columns patient_id and alias: ids that are one person"},
    {"split.noise_quantile", CFG_REAL, AT(noise_quantile), "0", 0, 1, NULL, "",
     "leave out images noisier than this quantile of their vendor's, such as 0.999; 0: do not "
     "judge"},
    {"split.draw", CFG_ENUM, AT(draw), "hash", 0, 0, "hash|torch", "",
     "hash: by keyed hash within strata; torch: as PatchDropout divided public data sets, which "
     "had "
     "split.seed 42: in the order of the label table, the last of torch.randperm for validation"},
    {"split.seed", CFG_INT, AT(seed), "1", 0, 1e15, NULL, "", "seed of the division"},
    {"split.vendors", CFG_TEXTS, AT(vendors), "", 0, 0, NULL, "",
     "vendors to keep (HOLOGIC, GE, SIEMENS, ...); empty: all"},
    {"exam.require", CFG_ENUM, AT(require), "any", 0, 0, "any|four_views|exactly4", "",
     "which views an exam must have: any, at least one of each of the four, or exactly four "
     "images"},
    {"exam.duplicate_view", CFG_ENUM, AT(duplicate_view), "best", 0, 0, "best|keep", "",
     "several images of one view in an exam: keep the best, or keep all"},
    {"exam.implant_displaced", CFG_ENUM, AT(displaced), "avoid", 0, 0, "avoid|prefer", "",
     "of two images of one view, whether the implant-displaced one is the worse or the better"},
    {"exam.merge_same_day", CFG_BOOL, AT(merge_same_day), "false", 0, 0, NULL, "",
     "exams of one patient on one day are one exam: recalls, retakes, split studies"},
    {"clinical.detection_days", CFG_INT, AT(detection_days), "60", 0, 3650, NULL, "days",
     "an exam with a cancer found within so many days shows it already and is left out"},
    {"clinical.detection_inclusive", CFG_BOOL, AT(detection_inclusive), "true", 0, 0, NULL, "",
     "whether the last of these days is left out, too"},
    {"clinical.followup_days", CFG_INT, AT(followup_days), "730", 0, 36500, NULL, "days",
     "cancer-free follow-up that a control needs; never less than the horizon"},
    {"clinical.prior_cancer", CFG_ENUM, AT(prior_cancer), "exclude", 0, 0, "exclude|keep", "",
     "exams after a breast cancer"},
    {"clinical.age_min", CFG_INT, AT(age_min), "0", 0, 150, NULL, "years", "youngest age kept"},
    {"clinical.age_max", CFG_INT, AT(age_max), "150", 0, 150, NULL, "years", "oldest age kept"},
    {"clinical.end_of_data", CFG_TEXT, AT(end_text), "", 0, 0, NULL, "",
     "last day that archive and label table can know (YYYY-MM-DD); a later exam is NO_DATE, a "
     "later date of the table LABEL_CONFLICT; empty: any day may be true"},
    {"clinical.require_female", CFG_BOOL, AT(require_female), "false", 0, 0, NULL, "",
     "leave out patients whose recorded sex is not female"},
};
const cfg_group split_options = {"Exams, clinical rules and the split", table, COUNT_OF(table)};

static bool open_exclusions(split_job *j, err *e)
{
    static const char *const head[] = {"file",       "image_id", "exam_id",
                                       "patient_id", "reason",   "sentence"};
    char *path = split_beside(j->o->out, "split_exclusions.csv"),
         *dir = split_beside(j->o->out, "");
    if (!dir[0] || fs_mkdirs(dir, e))
        j->excluded = csv_create(path, e);
    mem_free(dir);
    mem_free(path);
    for (size_t i = 0; i < COUNT_OF(head) && j->excluded; i++)
        csv_put(j->excluded, head[i]);
    if (j->excluded)
        csv_end_row(j->excluded);
    return j->excluded != NULL;
}

static bool split_date(const char *key, const char *value, int32_t *day, err *e)
{
    *day = RECORD_UNKNOWN;
    return !value[0] || text_date(value, day) ||
           err_set(e, ERR_CONFIG, "%s: no date (wanted YYYY-MM-DD or YYYYMMDD)", key);
}

static bool read_strata(split_cfg *c, err *e)
{
    static const char *const word[] = {"outcome", "vendor", "site", "year", "age", "density"};
    for (int i = 0; i < c->strata_words.n; i++) {
        unsigned bit = 0;
        for (size_t k = 0; k < COUNT_OF(word); k++)
            if (!strcmp(c->strata_words.v[i], word[k]))
                bit = 1u << k;
        if (!bit)
            return err_set(e, ERR_CONFIG,
                           "split.strata: '%s' is none of outcome, vendor, site, year, age, "
                           "density",
                           c->strata_words.v[i]);
        c->strata |= bit;
    }
    return true;
}

/* The published draw knows one share and nothing of persons; what it would leave unread is refused.
 */
static bool check_draw(const split_cfg *c, err *e)
{
    const char *wrong = c->mode == SPLIT_COLUMN || c->mode == SPLIT_KFOLD
                            ? "another split.mode: column and kfold draw no validation set"
                        : c->mode == SPLIT_FRACTIONS && c->test_fraction > 0
                            ? "split.test_fraction 0: a test set comes from --keep or split.mode"
                        : c->val_natural_fraction > 0 ? "split.val_natural_fraction 0"
                        : c->val == 0                 ? "split.val natural"
                        : c->strata                   ? "an empty split.strata"
                                                      : NULL;
    return !c->draw || !wrong ||
           err_set(e, ERR_CONFIG, "split.draw torch takes persons as they come; it wants %s",
                   wrong);
}

/* What must hold between keys, before work starts. */
static bool check_cfg(split_cfg *c, err *e)
{
    bool leave = c->mode == SPLIT_LEAVE_SITE || c->mode == SPLIT_LEAVE_VENDOR;
    if (!read_strata(c, e) || !split_date("split.test_from", c->test_from_text, &c->test_from, e) ||
        !split_date("clinical.end_of_data", c->end_text, &c->last_day, e) || !check_draw(c, e))
        return false;
    if (c->test_fraction + c->val_fraction + c->val_natural_fraction >= 1)
        return err_set(e, ERR_CONFIG,
                       "split.test_fraction, split.val_fraction and split.val_natural_fraction "
                       "leave nothing to train on");
    if (c->val == 0 && c->mode != SPLIT_COLUMN && c->mode != SPLIT_KFOLD &&
        !(c->strata & SPLIT_BY_OUTCOME))
        return err_set(e, ERR_CONFIG, "split.val balanced needs 'outcome' among split.strata");
    if (c->mode == SPLIT_KFOLD && c->fold >= c->folds)
        return err_set(e, ERR_CONFIG, "split.fold is %lld, but split.folds %lld count from 0",
                       (long long)c->fold, (long long)c->folds);
    if (leave && !c->leave_out[0])
        return err_set(e, ERR_CONFIG, "split.mode wants the name in split.leave_out");
    if (c->mode == SPLIT_TEMPORAL && c->test_from == RECORD_UNKNOWN)
        return err_set(e, ERR_CONFIG, "split.mode temporal wants a date in split.test_from");
    return true;
}

static bool load(split_job *j, err *e)
{
    j->ps = pseudo_open(j->o->store, false, e);
    if (!j->ps)
        return false;
    pseudo_key_id(j->ps, j->key_id);
    prepare_id(j->o->config, j->prep_id);
    if (!prepare_sizes(j->o->config, &j->n_sizes, j->h, j->w, e) || !split_aliases_read(j, e))
        return false;
    j->lab = labels_read(j->o->labels_csv, &j->lc, e);
    j->cat = j->lab ? catalog_open(j->o->store, false, e) : NULL;
    return j->cat && split_collect(j, e);
}

bool split_keeps_best_view(const cfg *c)
{
    split_cfg s;
    cfg_bind(c, &split_options, &s);
    return s.duplicate_view == 0;
}

bool split_prefers_displaced(const cfg *c)
{
    split_cfg s;
    cfg_bind(c, &split_options, &s);
    return s.displaced == 1;
}

/* split.csv and split_exclusions.csv lie beside the cohort: one cohort per folder. */
static bool check_folder(const split_opts *o, err *e)
{
    char *csv = split_beside(o->out, "split.csv"), *slash, other[256] = "";
    bool taken = fs_exists(csv);
    if (fs_exists(o->out)) {
        mem_free(csv);
        return err_set(e, ERR_INPUT, "'%s' exists; give --force to replace it", fs_base(o->out));
    }
    slash = strrchr(csv, '/');
    if (slash)
        *slash = 0;
    DIR *d = taken ? opendir(slash ? csv : ".") : NULL;
    for (struct dirent *f; d && (f = readdir(d));) {
        size_t n = strlen(f->d_name);
        if (n > 3 && !strcmp(f->d_name + n - 3, ".h5") && strcmp(f->d_name, fs_base(o->out)))
            text_copy(other, sizeof other, f->d_name);
    }
    if (d)
        closedir(d);
    mem_free(csv);
    return !other[0] || err_set(e, ERR_INPUT,
                                "the folder holds split.csv of another cohort ('%s'); use another "
                                "folder, or --force to replace it",
                                other);
}

static void tell_matches(const labels_matches *m)
{
    if (m->rows_matched < m->rows)
        log_info("labels_unmatched", "rows=%lld of=%lld why=no_image",
                 (long long)(m->rows - m->rows_matched), (long long)m->rows);
    if (m->images_matched < m->images)
        log_info("images_unmatched", "images=%lld of=%lld why=no_row",
                 (long long)(m->images - m->images_matched), (long long)m->images);
    if (m->would)
        log_warn("ids_differ", "would_match=%lld try=labels.normalise=%s", (long long)m->would,
                 m->how);
}

bool split_run(const split_opts *o, split_result *out, err *e)
{
    split_job j = {.o = o};
    bool ok = false;
    cfg_bind(o->config, &split_options, &j.c);
    cfg_bind(o->config, &labels_options, &j.lc);
    cfg_bind(o->config, &exclude_options, &j.ec);
    if (!check_cfg(&j.c, e) || (!o->force && !check_folder(o, e)))
        return false;
    j.threads = pool_new(o->threads);
    if (!load(&j, e) || !open_exclusions(&j, e))
        goto done;
    split_identities(&j);
    split_judge(&j);
    if (!split_modes(&j, e))
        goto done;
    split_folds(&j);
    labels_count(j.lab, &j.matches);
    tell_matches(&j.matches); /* also where too few match to go on */
    if (!split_write(&j, out, e))
        goto done;
    ok = true;
    out->matches = j.matches;
done:
    if (j.excluded)
        csv_discard(j.excluded);
    catalog_close(j.cat);
    labels_free(j.lab);
    pseudo_free(j.ps);
    split_aliases_free(j.alias);
    split_collect_release(&j);
    mem_free(j.who);
    mem_free(j.group);
    mem_free(j.exam_as);
    mem_free(j.merge);
    pool_free(j.threads);
    if (j.flow)
        json_decref(j.flow);
    return ok;
}
