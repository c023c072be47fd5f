/* What is known of a store without changing it: the plan of prepare (counts, bytes, a timed sample)
 * and how far every task is, by books that are known beforehand. */
#include "tests/unit/archive.h"

#include <math.h>

#include "preprocess/prepare_plan.h"
#include "preprocess/progress.h"
#include "preprocess/store_status.h"

enum { FILES = COUNT_OF(kinds) + 1, TO_DO = FILES - FAILED };

static char id[17];

static void sum_group(void *ctx, const catalog_group *g)
{
    *(int64_t *)ctx += g->n;
    assert_string_equal(g->transfer_syntax, "1.2.840.10008.1.2.1");
    assert_true(g->rows == ROWS && g->cols == COLS);
    assert_true(g->bytes >= g->n * ROWS * COLS * 2);
}

static void make_plan(const char *store, prepare_plan *p, int64_t groups)
{
    err e = {0};
    cfg *c = config();
    int64_t n = 0;
    prepare_opts o = {.store = store, .config = c, .threads = 3, .shard_n = 1};
    if (!prepare_plan_make(p, &o, sum_group, &n, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(n, groups);
    assert_int_equal(p->todo, groups);
    assert_int_equal(p->files, FILES);
    cfg_free(c);
}

static void sql(const char *store, const char *statement)
{
    err e = {0};
    catalog *c = catalog_open(store, true, &e);
    if (!c || !db_exec(catalog_db(c), statement, &e))
        fail_msg("%s", e.msg);
    catalog_close(c);
}

static void test_plan(void **state)
{
    (void)state;
    err e = {0};
    char *store = fresh("plan");
    text before, after;
    prepare_plan p;
    fingerprint(store, &before);
    make_plan(store, &p, TO_DO);
    fingerprint(store, &after);
    assert_string_equal(before.s, after.s); /* nothing was stored */
    text_release(&before);
    text_release(&after);
    assert_true(p.judged == 0 && p.unreadable == FAILED && p.sample == TO_DO);
    assert_string_equal(p.kept_from, "sample");
    assert_true(fabs(p.kept_share - (double)KEPT / TO_DO) < 1e-12);
    assert_true(p.image_bytes[0] > 1000 && p.image_bytes[0] < 512 * 416 * 2);
    assert_true(p.image_bytes[1] > 100 && p.image_bytes[1] < 128 * 96 * 2);
    assert_string_equal(p.bytes_from[0], "sample");
    assert_true(fabs(p.bytes - (p.image_bytes[0] + p.image_bytes[1]) * KEPT) < 1e-3);
    assert_true(p.image_seconds > 0 && p.threads == 3);
    assert_true(fabs(p.cpu_hours * 3600 - p.image_seconds * TO_DO) < 1e-6);
    assert_true(fabs(p.hours * 3 - p.cpu_hours) < 1e-12);
    assert_true(p.free_bytes > 0);
    /* all done: nothing left, and the sizes are those of the shards */
    assert_int_equal(stage(store, 2, NULL), 0);
    make_plan(store, &p, 0);
    assert_true(p.judged == FILES && p.unreadable == 0 && p.sample == 0 && p.bytes == 0);
    assert_string_equal(p.bytes_from[0], "done");
    double bytes = 0;
    for (int k = 0; k < KEPT / 2; k++) {
        char *path = prepare_shard_path(store, id, 128, 96, k);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        bytes += (double)st.st_size;
        mem_free(path);
    }
    assert_true(fabs(p.image_bytes[1] - bytes / KEPT) < 1e-6);
    /* some to do again, one of them lost */
    sql(store, "DELETE FROM prepared WHERE shard = 4");
    sql(store, "UPDATE prepared SET primary_reason = 'IO_LOST', shard = -1 WHERE shard = 3 AND "
               "shard_row = 1");
    make_plan(store, &p, 3);
    assert_true(p.judged == FILES - 3 && p.sample == 3);
    assert_string_equal(p.kept_from, "done");
    assert_true(fabs(p.kept_share - (double)(KEPT - 3) / (TO_DO - 3)) < 1e-12);
    cfg *c = config();
    prepare_opts o = {.store = store, .config = c, .shard_k = 1, .shard_n = 2};
    int64_t n = 0;
    assert_false(prepare_plan_make(&p, &o, sum_group, &n, &e));
    assert_true(e.code == ERR_USAGE && strstr(e.msg, "without --shard"));
    cfg_free(c);
    mem_free(store);
}

typedef struct tasks_seen {
    store_status at[8];
    int n;
} tasks_seen;

static void see(void *ctx, const store_status *s)
{
    tasks_seen *t = ctx;
    assert_true(t->n < 8);
    t->at[t->n++] = *s;
}

static void look(const char *store, tasks_seen *t, int n)
{
    err e = {0};
    catalog *c = catalog_open(store, false, &e);
    t->n = 0;
    if (!c || !store_status_each(c, store, id, see, t, &e))
        fail_msg("%s", e.msg);
    catalog_close(c);
    assert_int_equal(t->n, n);
    assert_string_equal(t->at[0].task, "scan");
    assert_true(t->at[0].done == FILES && t->at[0].failed == FAILED && t->at[0].left == -1);
    assert_string_equal(t->at[1].task, "prepare");
    assert_string_equal(t->at[1].id, id);
}

static void test_status(void **state)
{
    (void)state;
    char *store = fresh("status");
    tasks_seen t;
    look(store, &t, 2);
    assert_true(!t.at[1].started && t.at[1].done == 0 && t.at[1].left == FILES);
    assert_true(isnan(t.at[1].per_second) && isnan(t.at[1].eta_seconds));
    /* a run whose first shard is still open has nothing on the books, but works */
    progress at_work;
    progress_begin(&at_work, store, id, FILES);
    for (int i = 0; i < FILES / 2; i++) {
        at_work.last = -1e9; /* long ago: each step is written */
        progress_step(&at_work, false);
    }
    look(store, &t, 2);
    assert_true(t.at[1].started && t.at[1].done == 0 && t.at[1].left == FILES);
    assert_true(t.at[1].session_done == FILES / 2 && t.at[1].session_total == FILES);
    assert_true(fabs(t.at[1].eta_seconds * t.at[1].per_second - (FILES - FILES / 2)) < 1e-6);
    progress_end(&at_work); /* stopped: the open shard is lost */
    look(store, &t, 2);
    assert_true(fabs(t.at[1].eta_seconds * t.at[1].per_second - FILES) < 1e-6);
    err e = {0};
    char *of_it = fs_join(store, "progress");
    assert_true(fs_remove_tree(of_it, &e));
    mem_free(of_it);
    /* part 0 of 3 is done, part 2 died after its first transaction, part 1 was never started */
    assert_int_equal(stage_how(store, 1, "0/3", NULL), 0);
    must_die(stage_how(store, 1, "2/3", "prepare_after_db:1"), "2/3");
    look(store, &t, 5);
    assert_true(!t.at[1].started && t.at[1].left == FILES); /* nothing is merged yet */
    const store_status *p = &t.at[2];
    assert_true(p->started && p->k == 0 && p->n == 3 && p->left == 0 && p->done == FILES / 3);
    assert_true(p->per_second > 0 && p->eta_seconds == 0);
    assert_true(!t.at[3].started && t.at[3].k == 1 && t.at[3].left == -1);
    p = &t.at[4];
    assert_true(p->started && p->k == 2 && p->done > 0 && p->left > 0);
    assert_int_equal(p->done + p->left, FILES - FILES * 2 / 3);
    assert_int_equal(stage_how(store, 1, "1/3", NULL), 0);
    assert_int_equal(stage_how(store, 1, "2/3", NULL), 0);
    assert_int_equal(stage_how(store, 1, "merge", NULL), 0);
    look(store, &t, 2);
    assert_true(t.at[1].done == FILES && t.at[1].failed == FAILED && t.at[1].left == 0);
    assert_true(t.at[1].per_second > 0 && t.at[1].eta_seconds == 0);
    /* a lost row is to be done again, and takes time */
    sql(store, "UPDATE prepared SET primary_reason = 'IO_LOST', shard = -1 WHERE shard = 3 AND "
               "shard_row = 1");
    look(store, &t, 2);
    assert_true(t.at[1].done == FILES - 1 && t.at[1].left == 1);
    assert_true(fabs(t.at[1].eta_seconds * t.at[1].per_second - 1) < 1e-9);
    mem_free(store);
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return archive_main(argv[1], (int)strtol(argv[2], NULL, 10), argv[3]);
    err e = {0};
    if (!realpath(argv[0], self) || !worker_start(tasks, COUNT_OF(tasks), &e))
        return 1;
    log_set_level(LOG_ERROR);
    prepare_init();
    cfg *c = config();
    prepare_id(c, id);
    cfg_free(c);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_status),
    };
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, archive_setup, archive_teardown);
}
