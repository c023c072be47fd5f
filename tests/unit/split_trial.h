/* One run of split in a synthetic store: shared by the tests of split. */
#ifndef TESTS_UNIT_SPLIT_TRIAL_H
#define TESTS_UNIT_SPLIT_TRIAL_H

#include "tests/unit/store.h"

static char dir[64];

/* One run of split in the store of this test program. */
typedef struct trial {
    cfg *c;
    char *store, *labels, *out, *split_csv, *excluded;
    cohort got;
    split_result result;
    err e;
} trial;

static inline void trial_init(trial *t)
{
    memset(t, 0, sizeof *t);
    t->c = store_config();
    t->store = fs_join(dir, "store");
    t->labels = fs_join(dir, "labels.csv");
    t->out = fs_join(dir, "COHORT.h5");
    t->split_csv = fs_join(dir, "split.csv");
    t->excluded = fs_join(dir, "split_exclusions.csv");
    cohort_init(&t->got);
    OK(cfg_set(t->c, "split.test_fraction=0", e));
    OK(cfg_set(t->c, "split.val_fraction=0", e));
}

static inline void trial_free(trial *t)
{
    cohort_release(&t->got);
    cfg_free(t->c);
    mem_free(t->store);
    mem_free(t->labels);
    mem_free(t->out);
    mem_free(t->split_csv);
    mem_free(t->excluded);
}

static inline void set(trial *t, const char *key_value)
{
    OK(cfg_set(t->c, key_value, e));
}

static inline void labels_are(trial *t, const char *csv)
{
    OK(fs_write(t->labels, csv, strlen(csv), e));
}

static inline bool run_keep(trial *t, const char *keep)
{
    split_opts o = {.store = t->store,
                    .labels_csv = t->labels,
                    .out = t->out,
                    .keep = keep,
                    .config = t->c,
                    .threads = 1,
                    .force = true};
    cohort_release(&t->got);
    memset(&t->e, 0, sizeof t->e);
    if (!split_run(&o, &t->result, &t->e))
        return false;
    OK(cohort_read(&t->got, t->out, e));
    for (int i = 0; i < t->got.n_shards; i++) {
        char why[160];
        if (cohort_shard_fault(&t->got, i, true, why))
            fail_msg("%s: %s", t->got.shard[i].file, why);
    }
    return true;
}

static inline void run_it(trial *t)
{
    if (!run_keep(t, NULL))
        fail_msg("split: %s", t->e.msg);
}

static inline void fails(trial *t, err_code code, const char *words)
{
    if (run_keep(t, NULL))
        fail_msg("split did not fail; wanted '%s'", words);
    assert_int_equal(t->e.code, code);
    if (!strstr(t->e.msg, words))
        fail_msg("message '%s' lacks '%s'", t->e.msg, words);
}

/* Why an image was left out; "" = it is in the cohort, "?" = nothing is known of it. */
static inline const char *fate(trial *t, const char *sop)
{
    static char why[40];
    char image[33];
    csv_reader *r;
    int col, reason_col, found = 0;
    store_image(t->store, sop, image);
    OK((r = csv_open(t->excluded, e)));
    OK(csv_require(r, "image_id", &col, e));
    OK(csv_require(r, "reason", &reason_col, e));
    while (csv_next(r, NULL) > 0)
        if (!strcmp(csv_field(r, col), image)) {
            snprintf(why, sizeof why, "%s", csv_field(r, reason_col));
            found++;
        }
    csv_close(r);
    const cohort_row *in = store_find(t->store, &t->got, sop);
    if (found + (in != NULL) != 1)
        return "?";
    return in ? "" : why;
}

static inline const cohort_row *row(trial *t, const char *sop)
{
    const cohort_row *r = store_find(t->store, &t->got, sop);
    if (!r)
        fail_msg("image %s is not in the cohort: %s", sop, fate(t, sop));
    return r;
}

/* Many women: number i has cancer when i % 5 == 0; three vendors; one exam of one image each. */
enum { CROWD = 240 };
static shot crowd[CROWD];
static char crowd_name[CROWD][8];
static text crowd_labels;

static inline void make_crowd(void)
{
    static const char *const vendor[] = {"GE", "HOLOGIC", "SIEMENS"};
    text_init(&crowd_labels);
    text_add(&crowd_labels, "patient_id,diagnosis_date,last_negative_date\n");
    for (int i = 0; i < CROWD; i++) {
        snprintf(crowd_name[i], sizeof crowd_name[i], "W%03d", i);
        crowd[i] = (shot){.patient = crowd_name[i],
                          .sop = crowd_name[i],
                          .study = crowd_name[i],
                          .vendor = vendor[i % 7 < 4   ? 0
                                           : i % 7 < 6 ? 1
                                                       : 2]};
        text_addf(&crowd_labels, "%s,%s\n", crowd_name[i], i % 5 ? ",2019-01-01" : "2016-06-01,");
    }
}

static inline char *slurp(const char *path)
{
    char *s;
    size_t len;
    OK(fs_read(path, 1 << 24, &s, &len, e));
    return s;
}

static inline void count_folds(const cohort *c, int n[COHORT_FOLDS][2])
{
    memset(n, 0, sizeof(int) * COHORT_FOLDS * 2);
    for (int64_t i = 0; i < c->n; i++)
        n[c->row[i].fold][c->row[i].y[0]]++;
}

static inline int trial_setup(const char *name)
{
    log_set_level(LOG_ERROR);
    make_crowd();
    return store_tmp(name, dir) ? 0 : -1;
}

static inline int trial_teardown(void **state)
{
    err e = {0};
    (void)state;
    text_release(&crowd_labels);
    return fs_remove_tree(dir, &e) ? 0 : -1;
}
#endif
