/* What may not matter to a report: order of rows, number of threads, rows and images given twice,
 * the names of patients; and what a lost view does. Random cohorts through report_write; the seed
 * is printed when a property fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/rng.h"
#include "eval/metric.h"
#include "eval/report.h"
#include "eval/report_tree.h"
#include <math.h>

#define SEEDS    3
#define EXAMS    64
#define IMAGES   (4 * EXAMS)
#define ROWS_MAX (2 * IMAGES)

static char root[64];

typedef struct image {
    int exam, patient, name; /* numbers that the names are made of */
    int view;                /* 0 RCC 1 LCC 2 RMLO 3 LMLO */
    double score;
} image;

typedef struct cohort {
    image row[ROWS_MAX];
    int n;
    int y[EXAMS], t[EXAMS];
    const char *patient_name; /* format of a patient's number */
} cohort;

/* Patients have 1 to 3 exams, exams four views; scores have few digits, so that exams tie. */
static void draw(cohort *c, uint64_t seed)
{
    rng r;
    rng_init(&r, seed, RNG_TEST, 60, 0);
    int patient = -1, left = 0;
    c->n = 0;
    c->patient_name = "p%03d";
    for (int e = 0; e < EXAMS; e++) {
        if (!left) {
            left = 1 + (int)rng_below(&r, 3);
            patient++;
        }
        left--;
        c->y[e] = rng_below(&r, 5) < 2;
        c->t[e] = 1 + (int)rng_below(&r, 6);
        double base = .1 + .5 * rng_f64(&r) + .15 * c->y[e];
        for (int v = 0; v < 4; v++)
            c->row[c->n] = (image){.exam = e,
                                   .patient = patient,
                                   .name = c->n,
                                   .view = v,
                                   .score = round(50 * (base + .1 * rng_f64(&r))) / 50},
            c->n++;
    }
}

static char *at(const char *name)
{
    static char path[8][256];
    static int k;
    k = (k + 1) % 8;
    snprintf(path[k], sizeof path[k], "%s/%s", root, name);
    return path[k];
}

static void save(const cohort *c, const char *name)
{
    text t;
    char patient[32];
    text_init(&t);
    text_add(&t, "exam_id,patient_id,image_id,laterality,view,score,y,age,vendor,T,E\n");
    for (int i = 0; i < c->n; i++) {
        const image *x = &c->row[i];
        snprintf(patient, sizeof patient, c->patient_name, x->patient);
        text_addf(&t, "e%03d,%s,i%04d,%s,%s,%.2f,%d,%d,%s,%d,%d\n", x->exam, patient, x->name,
                  x->view % 2 ? "L" : "R", x->view < 2 ? "CC" : "MLO", x->score, c->y[x->exam],
                  45 + x->exam % 30, x->exam % 3 ? "ACME" : "Rare", c->t[x->exam], c->y[x->exam]);
    }
    assert_true(fs_write(at(name), t.s, t.len, NULL));
    text_release(&t);
}

static report_headline report_with(const char *input, const char *out, int threads,
                                   const char *replicates)
{
    static const cfg_group *const groups[] = {&eval_options};
    cfg *c = cfg_new(groups, 1);
    const char *const inputs[] = {at(input)};
    report_opts o = {.inputs = inputs,
                     .n_inputs = 1,
                     .out_dir = at(out),
                     .force = true,
                     .replace = true,
                     .threads = threads};
    report_headline h = {0};
    err e = {0};
    assert_true(cfg_set(c, replicates, &e));
    cfg_bind(c, &eval_options, &o.cfg);
    if (!report_write(&o, &h, &e))
        fail_msg("%s", e.msg);
    cfg_free(c);
    return h;
}

static report_headline report(const char *input, const char *out, int threads)
{
    return report_with(input, out, threads, "eval.bootstrap=100");
}

/* Names and hashes of all files below a folder, as text. */
static bool add_file(void *ctx, const fs_entry *f, err *e)
{
    char sum[65];
    if (!fs_sha256_file(f->path, sum, e))
        return false;
    text_addf(ctx, "%s %s\n", f->relative, sum);
    return true;
}

static void same_files(const char *a, const char *b, uint64_t seed)
{
    text x, y;
    text_init(&x);
    text_init(&y);
    assert_true(fs_walk(at(a), add_file, &x, NULL));
    assert_true(fs_walk(at(b), add_file, &y, NULL));
    assert_non_null(strstr(x.s, "eval.json"));
    assert_non_null(strstr(x.s, "report.html"));
    assert_non_null(strstr(x.s, "report.pdf"));
    if (strcmp(x.s, y.s) != 0)
        fail_msg("seed %llu: the files differ\n%s\n%s", (unsigned long long)seed, x.s, y.s);
    text_release(&x);
    text_release(&y);
}

static json_t *tree(const char *out)
{
    json_t *j = NULL;
    char path[320];
    err e = {0};
    snprintf(path, sizeof path, "%s/eval.json", at(out));
    if (!json_read(path, &j, &e))
        fail_msg("%s", e.msg);
    return j;
}

/* A member of two trees is the same text; `but` is the id of an element that may differ, or NULL.
 */
static void same_list(const json_t *a, const json_t *b, const char *list, const char *but)
{
    const json_t *x = json_object_get(a, list), *y = json_object_get(b, list);
    assert_true(json_array_size(x) > 0);
    assert_int_equal(json_array_size(x), json_array_size(y));
    for (size_t i = 0; i < json_array_size(x); i++) {
        const char *id = json_string_value(json_object_get(json_array_get(x, i), "id"));
        if (but && id && !strcmp(id, but))
            continue;
        if (!json_equal(json_array_get(x, i), json_array_get(y, i)))
            fail_msg("%s: element %zu (%s) differs", list, i, id ? id : "");
    }
}

/* ---- properties ------------------------------------------------------------------------------ */

static void permuting_rows_changes_no_byte(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        cohort c;
        int64_t order[ROWS_MAX];
        image row[ROWS_MAX];
        rng r;
        draw(&c, seed);
        save(&c, "rows.csv");
        report("rows.csv", "a", 1);
        rng_init(&r, seed, RNG_TEST, 61, 0);
        for (int i = 0; i < c.n; i++)
            order[i] = i;
        rng_shuffle(&r, c.n, order);
        memcpy(row, c.row, sizeof row);
        for (int i = 0; i < c.n; i++)
            c.row[i] = row[order[i]];
        save(&c, "rows.csv");
        report("rows.csv", "b", 1);
        same_files("a", "b", seed);
    }
}

/* So many replicates that no thread can do them all before the others are awake. */
static void threads_change_no_byte(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        cohort c;
        draw(&c, 10 + seed);
        save(&c, "rows.csv");
        report_with("rows.csv", "a", 1, "eval.bootstrap=4000");
        report_with("rows.csv", "b", 4, "eval.bootstrap=4000");
        same_files("a", "b", seed);
    }
}

/* A row that stands twice is one row; the flow table says how many there were. */
static void rows_given_twice_are_counted_and_merged(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        cohort c;
        draw(&c, 20 + seed);
        save(&c, "rows.csv");
        report("rows.csv", "a", 1);
        int more = 7 + (int)seed;
        for (int i = 0; i < more; i++)
            c.row[c.n++] = c.row[(i * 37) % IMAGES];
        save(&c, "rows.csv");
        report("rows.csv", "b", 1);
        json_t *a = tree("a"), *b = tree("b");
        same_list(a, b, "metrics", NULL);
        same_list(a, b, "curves", NULL);
        same_list(a, b, "tables", "flow");
        const json_t *step = json_array_get(json_object_get(b, "flow"), 0);
        assert_string_equal(json_string_value(json_object_get(step, "reason")), "REPEATED_ROW");
        assert_int_equal(json_integer_value(json_object_get(step, "excluded")), more);
        assert_int_equal(json_integer_value(json_object_get(step, "n_in")), IMAGES + more);
        assert_int_equal(json_integer_value(json_object_get(step, "n_out")), IMAGES);
        assert_string_equal(
            json_string_value(json_object_get(json_object_get(b, "run"), "data_sha256")),
            json_string_value(json_object_get(json_object_get(a, "run"), "data_sha256")));
        json_decref(a);
        json_decref(b);
    }
}

/* Every image a second time under another name: the mean over images stays, and so does every
 * number about exams. */
static void copies_of_all_images_change_no_metric(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        cohort c;
        draw(&c, 30 + seed);
        save(&c, "rows.csv");
        report("rows.csv", "a", 1);
        for (int i = 0; i < IMAGES; i++) {
            c.row[c.n] = c.row[i];
            c.row[c.n++].name += 5000;
        }
        save(&c, "rows.csv");
        report("rows.csv", "b", 1);
        json_t *a = tree("a"), *b = tree("b");
        same_list(a, b, "metrics", NULL);
        same_list(a, b, "curves", NULL);
        assert_true(json_equal(report_tree_by_id(a, "tables", "operating"),
                               report_tree_by_id(b, "tables", "operating")));
        assert_true(json_equal(report_tree_by_id(a, "tables", "subgroups"),
                               report_tree_by_id(b, "tables", "subgroups")));
        json_decref(a);
        json_decref(b);
    }
}

/* Names in the same order: every number is the same, drawn replicates too. */
static void renaming_patients_in_order_changes_no_number(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        cohort c;
        draw(&c, 40 + seed);
        save(&c, "rows.csv");
        report("rows.csv", "a", 1);
        c.patient_name = "woman-%05d-of-another-hospital";
        save(&c, "rows.csv");
        report("rows.csv", "b", 1);
        json_t *a = tree("a"), *b = tree("b");
        same_list(a, b, "metrics", NULL);
        same_list(a, b, "curves", NULL);
        same_list(a, b, "tables", NULL);
        assert_true(json_equal(json_object_get(a, "bootstrap"), json_object_get(b, "bootstrap")));
        json_decref(a);
        json_decref(b);
    }
}

/* Is the interval of this element drawn? Then names decide which patients a replicate holds. */
static bool drawn(const json_t *metric)
{
    const char *ci = json_string_value(json_object_get(metric, "ci"));
    return ci && !strcmp(ci, "bootstrap");
}

/* Names in another order: everything that is not drawn stays; sums over patients run in another
 * order, so the last digits may differ. */
static void relabelling_patients_changes_only_what_is_drawn(void **state)
{
    static const char *const numbers[] = {"value", "lo", "hi"};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        cohort c;
        int compared = 0, patients = 0;
        int64_t name[EXAMS];
        rng r;
        draw(&c, 50 + seed);
        save(&c, "rows.csv");
        report_headline one = report("rows.csv", "a", 1);
        for (int i = 0; i < EXAMS; i++)
            name[i] = 3 * i;
        rng_init(&r, seed, RNG_TEST, 62, 0);
        rng_shuffle(&r, EXAMS, name);
        for (int i = 0; i < c.n; i++)
            c.row[i].patient = (int)name[c.row[i].patient];
        save(&c, "rows.csv");
        report_headline other = report("rows.csv", "b", 1);
        assert_int_equal(one.n_patients, other.n_patients);
        json_t *a = tree("a"), *b = tree("b");
        const json_t *x = json_object_get(a, "metrics"), *y = json_object_get(b, "metrics");
        assert_int_equal(json_array_size(x), json_array_size(y));
        for (size_t i = 0; i < json_array_size(x); i++) {
            const json_t *m = json_array_get(x, i), *n = json_array_get(y, i);
            patients += (int)json_integer_value(json_object_get(m, "n_patients")) -
                        (int)json_integer_value(json_object_get(n, "n_patients"));
            for (int k = 0; k < (drawn(m) ? 1 : 3); k++) {
                const json_t *v = json_object_get(m, numbers[k]);
                const json_t *w = json_object_get(n, numbers[k]);
                assert_int_equal(json_is_number(v), json_is_number(w));
                if (!json_is_number(v))
                    continue;
                if (!(fabs(json_number_value(v) - json_number_value(w)) < 1e-12))
                    fail_msg("seed %llu: %s of metric %s: %.17g, %.17g", (unsigned long long)seed,
                             numbers[k], json_string_value(json_object_get(m, "id")),
                             json_number_value(v), json_number_value(w));
                compared++;
            }
        }
        assert_int_equal(patients, 0);
        assert_true(compared > 30);
        json_decref(a);
        json_decref(b);
    }
}

/* An exam that lost views stays, with the mean of the images it has; only the analysis of whole
 * exams gets smaller. */
static void dropping_views_drops_no_exam(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        cohort c;
        double sum[EXAMS] = {0}, score[EXAMS];
        int images[EXAMS] = {0}, patient[EXAMS], whole = 0, patients = 0, kept = 0;
        draw(&c, 70 + seed);
        for (int i = 0; i < c.n; i++) {
            image x = c.row[i];
            if (x.exam % 4 == 0 && x.view == x.exam / 4 % 4)
                continue; /* every fourth exam lost one view */
            if (x.exam % 8 == 0 && x.view == (x.exam / 4 + 2) % 4)
                continue; /* every eighth a second one */
            c.row[kept++] = x;
            sum[x.exam] += round(100 * x.score); /* exact */
            images[x.exam]++;
            patient[x.exam] = x.patient;
        }
        c.n = kept;
        save(&c, "rows.csv");
        report_headline h = report("rows.csv", "a", 1);
        for (int e = 0; e < EXAMS; e++) {
            score[e] = round(sum[e] / images[e] * 1e9);
            whole += images[e] == 4;
            patients = patient[e] + 1;
        }
        metric_in in = {score, c.y, NULL, patient, EXAMS, patients, false};
        metric_value want = metric_auc_report(&in);
        assert_int_equal(h.n_exams, EXAMS);
        assert_int_equal(h.n_patients, patients);
        assert_int_equal(h.n_events, want.events);
        if (!(fabs(h.auc - want.value) < 1e-12 && fabs(h.lo - want.lo) < 1e-12))
            fail_msg("seed %llu: AUC %.17g from %.17g, wanted %.17g from %.17g",
                     (unsigned long long)seed, h.auc, h.lo, want.value, want.lo);
        json_t *j = tree("a");
        const json_t *four = report_tree_metric(j, "auc", "four_views");
        assert_int_equal(whole, EXAMS - EXAMS / 4);
        assert_int_equal(json_integer_value(json_object_get(four, "n_exams")), whole);
        json_decref(j);
    }
}

static int teardown(void **state)
{
    return fs_remove_tree(root, NULL) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permuting_rows_changes_no_byte),
        cmocka_unit_test(threads_change_no_byte),
        cmocka_unit_test(rows_given_twice_are_counted_and_merged),
        cmocka_unit_test(copies_of_all_images_change_no_metric),
        cmocka_unit_test(renaming_patients_in_order_changes_no_number),
        cmocka_unit_test(relabelling_patients_changes_only_what_is_drawn),
        cmocka_unit_test(dropping_views_drops_no_exam),
    };
    log_set_level(LOG_ERROR);
    snprintf(root, sizeof root, "/tmp/test_eval_report_prop.XXXXXX");
    if (!mkdtemp(root))
        return 1;
    return cmocka_run_group_tests(tests, NULL, teardown);
}
