/* Every file of the demo archive against the hand-written table of outcomes: the archive goes
 * through scan, prepare and split, and each file must end as tests/fixtures/expected_outcomes.csv
 * says for its kind. The books of every stage must balance. MAMMOVIT_SEED in the environment
 * chooses another archive; the seed is printed when something differs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/csv.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/worker.h"
#include "dicom/catalog.h"
#include "dicom/pixels.h"
#include "dicom/scan.h"
#include "dicom/synth.h"
#include "preprocess/labels.h"
#include "preprocess/prepare.h"
#include "preprocess/split.h"

#define TABLE    "tests/fixtures/expected_outcomes.csv"
#define PATIENTS 8

typedef struct rule { /* one row of the table */
    char kind[40], file[24], exam[24], flag[24];
    int files, kept, other;
} rule;
typedef struct file {
    char path[64], kind[40], reason[24], exam[24];
    int64_t id;
    reason_set notes;
    bool seen, scanned;
} file;
typedef struct world {
    rule *rule;
    int rules;
    file *file;
    int files, wrong;
    int64_t visited;
} world;

static char dir[] = "/tmp/mammovit-outcomes-XXXXXX";
static uint64_t seed = 20240607;

static csv_reader *open_csv(const char *path)
{
    err e = {0};
    csv_reader *r = csv_open(path, &e);
    if (!r)
        fail_msg("%s", e.msg);
    return r;
}

static int column(const csv_reader *r, const char *name)
{
    int c = csv_find(r, name);
    assert_true(c >= 0);
    return c;
}

static void put(char *out, size_t cap, const csv_reader *r, const char *name)
{
    text_copy(out, cap, csv_field(r, column(r, name)));
}

static char *below(const char *name)
{
    return fs_join(dir, name);
}

static void read_tables(world *w)
{
    err e = {0};
    w->rule = MEM_ARRAY(rule, 512);
    w->file = MEM_ARRAY(file, 4096);
    csv_reader *r = open_csv(TABLE);
    while (csv_next(r, &e) == 1) {
        rule *x = &w->rule[w->rules++];
        put(x->kind, sizeof x->kind, r, "kind");
        put(x->file, sizeof x->file, r, "file_outcome");
        put(x->exam, sizeof x->exam, r, "exam_outcome");
        put(x->flag, sizeof x->flag, r, "flag");
    }
    csv_close(r);
    char *path = below("kinds.csv");
    r = open_csv(path);
    while (csv_next(r, &e) == 1) {
        file *x = &w->file[w->files++];
        assert_true(w->files <= 4096);
        put(x->path, sizeof x->path, r, "file");
        put(x->kind, sizeof x->kind, r, "kind");
    }
    csv_close(r);
    mem_free(path);
    assert_int_equal(e.code, ERR_NONE);
}

static bool note_row(void *ctx, const catalog_row *row, err *e)
{
    world *w = ctx;
    (void)e;
    w->visited++;
    for (int i = 0; i < w->files; i++) {
        file *x = &w->file[i];
        if (strcmp(x->path, row->path) != 0)
            continue;
        assert_false(x->seen);
        x->seen = true;
        x->id = row->id;
        x->notes = row->reasons;
        reason why = row->scan_reason != REASON_NONE ? row->scan_reason : row->primary;
        x->scanned = row->scan_reason != REASON_NONE || row->prepared;
        text_copy(x->reason, sizeof x->reason, why == REASON_NONE ? "kept" : reason_name(why));
        text_copy(x->exam, sizeof x->exam, why == REASON_NONE ? "kept" : "-");
    }
    return true;
}

static void note_split(world *w)
{
    err e = {0};
    char *path = below("split_exclusions.csv");
    csv_reader *r = open_csv(path);
    int reason_column = column(r, "reason");
    while (csv_next(r, &e) == 1) {
        int64_t id;
        assert_true(text_i64(csv_field(r, 0), &id));
        for (int i = 0; i < w->files; i++)
            if (w->file[i].id == id)
                text_copy(w->file[i].exam, sizeof w->file[i].exam, csv_field(r, reason_column));
    }
    csv_close(r);
    mem_free(path);
}

static void complain(world *w, const file *x, const char *what, const char *want, const char *got)
{
    w->wrong++;
    fprintf(stderr, "seed %llu, %s: %s is %s, the table says %s\n", (unsigned long long)seed,
            x->kind, what, got, want);
}

static void compare(world *w)
{
    for (int i = 0; i < w->files; i++) {
        const file *x = &w->file[i];
        rule *r = NULL;
        for (int k = 0; k < w->rules; k++)
            if (!strcmp(w->rule[k].kind, x->kind))
                r = &w->rule[k];
        if (!r) {
            complain(w, x, "kind", "nothing", x->kind);
            continue;
        }
        r->files++;
        if (!x->seen || !x->scanned)
            complain(w, x, "the file", "judged", "not judged");
        if (strcmp(x->reason, r->file) != 0)
            complain(w, x, "outcome of the file", r->file, x->reason);
        if (r->flag[0] && !reason_has(&x->notes, reason_find(r->flag)))
            complain(w, x, "note", r->flag, "missing");
        bool one = !strncmp(r->exam, "one:", 4);
        if (!one && strcmp(x->exam, r->exam) != 0)
            complain(w, x, "outcome in the exam", r->exam, x->exam);
        r->kept += !strcmp(x->exam, "kept");
        r->other += one && !strcmp(x->exam, r->exam + 4);
    }
    for (int k = 0; k < w->rules; k++) {
        const rule *r = &w->rule[k];
        file named = {0};
        text_copy(named.kind, sizeof named.kind, r->kind);
        bool optional = !strncmp(r->kind, "ordinary_", 9);
        if (!r->files && !optional)
            complain(w, &named, "number of files", "at least 1", "0");
        if (!strncmp(r->exam, "one:", 4) && (r->kept != 1 || r->other != r->files - 1))
            complain(w, &named, "number kept", "exactly 1", r->kept ? "more" : "0");
        if (r->file[0] != 'k' && reason_find(r->file) == REASON_NONE)
            complain(w, &named, "reason", "known", r->file);
    }
}

static cfg *config(void)
{
    static const cfg_group *const groups[] = {&scan_options, &prepare_options, &exclude_options,
                                              &labels_options, &split_options};
    cfg *c = cfg_new(groups, COUNT_OF(groups));
    err e = {0};
    assert_true(cfg_set(c, "prepare.fit=mm", &e));
    assert_true(cfg_set(c, "prepare.mm=0.8", &e));
    assert_true(cfg_set(c, "prepare.sizes=[128x96]", &e));
    return c;
}

#define MUST(call)                                                                                 \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s", e.msg);                                                                 \
    } while (0)

static void test_every_file_ends_as_the_table_says(void **state)
{
    (void)state;
    err e = {0};
    world w = {0};
    synth_opts so = {.dir = dir, .patients = PATIENTS, .seed = seed, .threads = 2};
    MUST(synth_write(&so, &e));
    read_tables(&w);
    cfg *c = config();
    char *archive = below("archive"), *store = below("store"), *clinical = below("clinical.csv"),
         *cohort_file = below("COHORT.h5");
    const char *const roots[] = {archive};
    scan_opts sc = {
        .archive = roots, .n_archives = 1, .store = store, .config = c, .threads = 2, .shard_n = 1};
    scan_result scanned = {0};
    MUST(scan_run(&sc, &scanned, &e));
    prepare_opts po = {.store = store, .config = c, .threads = 2, .shard_n = 1};
    prepare_result ready = {0};
    MUST(prepare_run(&po, &ready, &e));
    split_opts sp = {
        .store = store, .labels_csv = clinical, .out = cohort_file, .config = c, .threads = 2};
    split_result divided = {0};
    MUST(split_run(&sp, &divided, &e));

    catalog *cat = catalog_open(store, false, &e);
    assert_non_null(cat);
    MUST(catalog_each(cat, ready.config_id, note_row, &w, &e));
    catalog_close(cat);
    note_split(&w);
    compare(&w);
    assert_int_equal(w.wrong, 0);

    /* the books */
    int64_t kept = 0, in_cohort = 0;
    for (int i = 0; i < w.files; i++) {
        kept += !strcmp(w.file[i].reason, "kept");
        in_cohort += !strcmp(w.file[i].exam, "kept");
    }
    assert_int_equal(scanned.seen, w.files);
    assert_int_equal(w.visited, w.files);
    assert_int_equal(scanned.candidates + scanned.failed, scanned.seen);
    assert_int_equal(ready.kept + ready.excluded + ready.failed, ready.seen);
    assert_int_equal(ready.kept, kept);
    assert_int_equal(divided.images, in_cohort);

    mem_free(w.rule);
    mem_free(w.file);
    mem_free(archive);
    mem_free(store);
    mem_free(clinical);
    mem_free(cohort_file);
    cfg_free(c);
}

int main(void)
{
    static const worker_task tasks[] = {
        [SCAN_TASK] = {"scan", scan_header_task, pixels_init},
        [PREPARE_TASK] = {"prepare", prepare_image_task, prepare_init},
    };
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_file_ends_as_the_table_says),
    };
    err e = {0};
    int64_t given;
    const char *env = getenv("MAMMOVIT_SEED");
    if (env && text_i64(env, &given))
        seed = (uint64_t)given;
    log_set_level(LOG_ERROR);
    if (!worker_start(tasks, COUNT_OF(tasks), &e) || !mkdtemp(dir)) {
        fprintf(stderr, "cannot start: %s\n", e.msg);
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    worker_stop();
    if (!getenv("MAMMOVIT_KEEP") && !fs_remove_tree(dir, &e))
        fprintf(stderr, "%s\n", e.msg);
    return failed;
}
