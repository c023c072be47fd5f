/* prepare: config checks, the pure task on DICOM bytes, and the stage: verdicts and books of a
 * small archive, the same bytes for one and four threads and after a SIGKILL at every kind of
 * point. The program runs itself for the stage: test_preprocess_prepare STORE THREADS HOW. */
#include "tests/unit/archive.h"

#include "dicom/pseudo.h"
#include "preprocess/prepare_stage.h"

/* ---- config ---------------------------------------------------------------------------------- */

static void expect_config(const char *set, const char *message)
{
    err e = {0};
    cfg *c = config();
    assert_true(cfg_set(c, set, &e));
    assert_false(prepare_check(c, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.msg, message));
    cfg_free(c);
}

static void test_config(void **state)
{
    (void)state;
    err e = {0};
    char a[17], b[17];
    int n, h[PREPARE_SIZES], w[PREPARE_SIZES];
    cfg *c = config();
    assert_true(prepare_sizes(c, &n, h, w, &e));
    assert_true(n == 2 && h[0] == 512 && w[0] == 416 && h[1] == 128 && w[1] == 96);
    prepare_id(c, a);
    assert_int_equal(strlen(a), 16);
    assert_true(cfg_set(c, "exclude.implant=flag", &e)); /* a verdict changes: a new id */
    prepare_id(c, b);
    assert_string_not_equal(a, b);
    assert_true(cfg_set(c, "exclude.implant=exclude", &e));
    prepare_id(c, b);
    assert_string_equal(a, b);
    text y; /* a checkpoint carries the text: it must give the same id again */
    text_init(&y);
    prepare_yaml(c, &y);
    cfg *d = config();
    assert_true(cfg_set(d, "prepare.margin=0.3", &e));
    assert_true(cfg_load_text(d, y.s, y.len, "checkpoint", &e) || e.code == ERR_CONFIG);
    cfg_free(d);
    static const cfg_group *const groups[] = {&prepare_options, &exclude_options};
    d = cfg_new(groups, 2);
    assert_true(cfg_load_text(d, y.s, y.len, "checkpoint", &e));
    prepare_id(d, b);
    assert_string_equal(a, b);
    cfg_free(d);
    text_release(&y);
    cfg_free(c);
    expect_config("prepare.sizes=[]", "0 sizes given, wanted 1 to 4");
    expect_config("prepare.sizes=[512]", "'512' is no size; wanted HxW");
    expect_config("prepare.sizes=[512x-3]", "'512x-3' is no size");
    expect_config("prepare.sizes=[64x64, 64x64]", "64x64 is given twice");
    expect_config("prepare.percentile_low=99.9", "is not below percentile_high");
}

/* ---- one image ------------------------------------------------------------------------------- */

static void test_task(void **state)
{
    (void)state;
    cfg *c = config();
    size_t arg_len, cap = prepare_reply_cap(c);
    void *reply = mem_alloc(cap), *again = mem_alloc(cap);
    void *arg = prepare_request(c, NULL, &arg_len);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        text t;
        text_init(&t);
        dicom(&kinds[i], (int)i, &t);
        memset(reply, 0xa5, cap);
        memset(again, 0x5a, cap);
        size_t n = prepare_image_task(t.s, t.len, arg, arg_len, reply, cap);
        size_t m = prepare_image_task(t.s, t.len, arg, arg_len, again, cap);
        const prepared *p = reply;
        assert_int_equal(n, m);
        assert_string_equal(reason_name(p->primary), kinds[i].want);
        char hash[33];
        fs_xxh128_of(t.s, t.len, hash);
        assert_string_equal(p->file_hash, hash);
        if (p->primary == REASON_NONE) {
            assert_int_equal(n, cap);
            assert_memory_equal((char *)reply + p->image_at[0], (char *)again + p->image_at[0],
                                512 * 416 * 2);
            assert_true(p->breast_pixels[0] > 20000 && p->breast_pixels[1] > 1000);
            assert_true(p->rec.side == (kinds[i].side ? 'R' : 'L'));
        } else {
            assert_int_equal(p->n_sizes, 0);
        }
        text_release(&t);
    }
    mem_free(arg);
    /* facts from a sidecar win; the pixels stay described by the file */
    text t;
    text_init(&t);
    dicom(&kinds[0], 0, &t);
    record o;
    prepare_image_task(t.s, t.len, arg = prepare_request(c, NULL, &arg_len), arg_len, reply, cap);
    mem_free(arg);
    o = ((prepared *)reply)->rec;
    o.side = 0;
    o.rows = 9;
    arg = prepare_request(c, &o, &arg_len);
    prepare_image_task(t.s, t.len, arg, arg_len, reply, cap);
    assert_int_equal(((prepared *)reply)->primary, REASON_LAT_UNKNOWN);
    assert_int_equal(((prepared *)reply)->rec.rows, ROWS);
    text_release(&t);
    mem_free(arg);
    mem_free(reply);
    mem_free(again);
    cfg_free(c);
}

/* ---- the stage ------------------------------------------------------------------------------- */

static void test_stage(void **state)
{
    (void)state;
    err e = {0};
    json_t *flow;
    int64_t v;
    char *a = fresh("one"), *b = fresh("four");
    assert_int_equal(stage(a, 1, NULL), 0);
    fingerprint(a, &reference);
    assert_non_null(strstr(reference.s, "512x416/00000.h5"));
    assert_non_null(strstr(reference.s, "128x96/00004.h5"));
    assert_null(strstr(reference.s, "00005.h5"));
    assert_null(strstr(reference.s, ".partial"));
    assert_int_equal(stage(b, 4, NULL), 0);
    expect_same(b);
    assert_int_equal(stage(b, 4, NULL), 0); /* again: nothing to do, nothing changes */
    expect_same(b);
    char *path = fs_join(a, "flow.json");
    assert_true(json_read(path, &flow, &e));
    assert_true(json_get_i64(flow, "seen", &v, &e) && v == (int64_t)COUNT_OF(kinds) + 1);
    assert_true(json_get_i64(flow, "kept", &v, &e) && v == KEPT);
    assert_true(json_get_i64(flow, "excluded", &v, &e) && v == EXCLUDED);
    assert_true(json_get_i64(flow, "failed", &v, &e) && v == FAILED);
    int64_t exams, women, out, left[2];
    assert_true(json_get_i64(flow, "exams", &exams, &e) && json_get_i64(flow, "women", &women, &e));
    assert_true(exams > 1 && women > 1 && json_get_i64(flow, "exams_part", &v, &e));
    left[0] = exams;
    left[1] = women;
    int64_t lost = 0, touched = 0;
    const json_t *steps = json_object_get(flow, "steps"), *step;
    size_t i;
    json_array_foreach(steps, i, step)
    {
        assert_true(json_get_i64(step, "exams_in", &v, &e) && v == left[0]);
        assert_true(json_get_i64(step, "exams_out", &left[0], &e));
        assert_true(json_get_i64(step, "exams_touched", &out, &e) && out >= v - left[0]);
        lost += v - left[0];
        touched += out;
        assert_true(json_get_i64(step, "women_in", &v, &e) && v == left[1]);
        assert_true(json_get_i64(step, "women_out", &left[1], &e) && left[1] <= v);
    }
    assert_int_equal(left[0], exams - lost);
    assert_true(touched > lost); /* exams of several files lose some, not all */
    json_decref(flow);
    mem_free(path);
    mem_free(a);
    mem_free(b);
}

typedef struct seen {
    int n;
    char *store;
    char id[17];
} seen;

static bool check_row(void *ctx, const catalog_row *r, err *e)
{
    seen *s = ctx;
    const char *want = "IO_UNREADABLE";
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (strcmp(fs_base(r->path), kinds[i].name) == 0)
            want = kinds[i].want;
    assert_string_equal(reason_name(r->primary), want);
    s->n++;
    if (want[0]) {
        assert_int_equal(r->shard, -1);
        return true;
    }
    char *path = prepare_shard_path(s->store, s->id, 128, 96, r->shard);
    shard_meta m;
    shard *f = shard_open(path, e);
    assert_non_null(f);
    assert_true(shard_read_meta(f, r->shard_row, &m, e));
    assert_string_equal(m.image, r->image);
    assert_string_equal(m.patient, r->patient);
    assert_string_equal(m.pixel_hash, r->pixel_hash);
    assert_int_equal(m.side, r->rec.side);
    assert_true(shard_has_mask(f) && m.breast_pixels > 1000);
    assert_true(shard_check_mask(f, r->shard_row, e));
    shard_close(f);
    mem_free(path);
    return true;
}

static void test_rows(void **state)
{
    (void)state;
    err e = {0};
    seen s = {.store = store_path("one")};
    cfg *c = config();
    prepare_id(c, s.id);
    catalog *cat = catalog_open(s.store, false, &e);
    assert_non_null(cat);
    assert_true(catalog_each(cat, s.id, check_row, &s, &e));
    assert_int_equal(s.n, COUNT_OF(kinds) + 1);
    catalog_close(cat);
    mem_free(s.store);
    cfg_free(c);
}

/* A shard names what was done for privacy; cleaned pixels only where they are cleaned. */
static void test_provenance(void **state)
{
    (void)state;
    err e = {0};
    char store[] = "/tmp/mammovit_provenance_XXXXXX";
    assert_non_null(mkdtemp(store));
    pseudo_free(pseudo_open(store, true, &e));
    cfg *c = config();
    char *on = prepare_provenance(store, c, &e);
    assert_true(cfg_set(c, "prepare.erase_outside=false", &e));
    char *off = prepare_provenance(store, c, &e);
    assert_non_null(
        strstr(on, "\"deid\":[\"113100\",\"113105\",\"113107\",\"113108\",\"113109\",\"113101\"]"));
    assert_non_null(strstr(off, "\"113109\"]"));
    mem_free(on);
    mem_free(off);
    cfg_free(c);
    assert_true(fs_remove_tree(store, &e));
}

static void test_kill(void **state)
{
    (void)state;
    static const char *const points[] = {
        "prepare_mid_shard:1",    "shard_closed:1",        "shard_closed:4",
        "shard_verified:3",       "prepare_mid_shard:4",   "prepare_before_shard:1",
        "prepare_before_shard:4", "prepare_after_shard:1", "prepare_after_shard:2",
        "prepare_after_shard:5",  "prepare_before_db:1",   "prepare_before_db:3",
        "prepare_in_db:1",        "prepare_in_db:7",       "prepare_after_db:2",
    };
    for (size_t i = 0; i < COUNT_OF(points); i++) {
        err e = {0};
        char *store = fresh("killed");
        int status = stage(store, 1 + (int)i % 3, points[i]);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            fail_msg("%s: not killed, status %d", points[i], status);
        if (i % 4 == 0) /* a second blow during the repair */
            stage(store, 2, "prepare_before_db:1");
        assert_int_equal(stage(store, 2, NULL), 0);
        expect_same(store);
        assert_true(fs_remove_tree(store, &e));
        mem_free(store);
    }
}

static void test_lost_shard(void **state)
{
    (void)state;
    err e = {0};
    char *store = fresh("lost"), id[17];
    cfg *c = config();
    prepare_id(c, id);
    assert_int_equal(stage(store, 2, NULL), 0);
    char *path = prepare_shard_path(store, id, 512, 416, 1);
    assert_int_equal(unlink(path), 0);
    prepare_opts o = {store, c, 2, 0, 1, false, false};
    prepare_result r;
    assert_false(prepare_run(&o, &r, &e));
    assert_int_equal(e.code, ERR_MISMATCH);
    assert_string_equal(e.msg, "shard 512x416/00001.h5 is in the catalogue but not in the store; "
                               "mammovit repair makes it again");
    /* --force forgets every shard of before, also one that is not made again */
    catalog *cat = catalog_open(store, true, &e);
    catalog_shard old = {.number = 77, .h = 128, .w = 96}, *k;
    int n;
    assert_true(cat && catalog_begin(cat, &e) && catalog_put_shard(cat, id, &old, &e) &&
                catalog_commit(cat, &e));
    catalog_close(cat);
    o.force = true;
    e.code = ERR_NONE;
    if (!prepare_run(&o, &r, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(r.kept, KEPT);
    cat = catalog_open(store, false, &e);
    assert_true(cat && catalog_shards(cat, id, &k, &n, &e));
    assert_int_equal(n, KEPT); /* two images to a shard, two canvases */
    mem_free(k);
    catalog_close(cat);
    assert_true(fs_exists(path));
    expect_same(store);
    mem_free(path);
    mem_free(store);
    cfg_free(c);
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* The merge of n parts is what one run writes, whatever n is and wherever somebody was killed. */
static void test_parts(void **state)
{
    (void)state;
    static const char *const points[] = {
        NULL,
        "prepare_mid_shard:2",
        "prepare_after_shard:2",
        "prepare_before_db:1",
        "prepare_in_db:3",
        "prepare_after_db:2",
        "merge_before_remove:1",
        "merge_inside_remove:1",
    };
    for (size_t i = 0; i < COUNT_OF(points); i++) {
        err e = {0};
        char how[16], *store = fresh("parts");
        int n = i == 0 ? 1 + (int)COUNT_OF(kinds) : 2 + (int)i % 3; /* also parts without a row */
        for (int k = n - 1; k >= 0; k--) {
            snprintf(how, sizeof how, "%d/%d", k, n);
            if (k == 0 && i >= 1 && i <= 5) { /* in the largest part: most likely to get there */
                int status = stage_how(store, 2, how, points[i]);
                if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                    must_die(status, points[i]);
            }
            assert_int_equal(stage_how(store, 1 + k % 2, how, NULL), 0);
        }
        if (i > 0)
            must_die(stage_how(store, 2, "merge", points[i]), points[i]);
        assert_int_equal(stage_how(store, 2, "merge", NULL), 0);
        expect_same(store);
        assert_int_equal(stage_how(store, 2, "merge", NULL), 0); /* again: nothing to do */
        expect_same(store);
        assert_true(fs_remove_tree(store, &e));
        mem_free(store);
    }
}

static void expect_fail(const prepare_opts *o, err_code code, const char *message)
{
    err e = {0};
    prepare_result r;
    assert_false(prepare_run(o, &r, &e));
    if (e.code != code || !strstr(e.msg, message))
        fail_msg("%s lacks '%s'", e.msg, message);
}

static void test_parts_refused(void **state)
{
    (void)state;
    err e = {0};
    char *store = fresh("refused"), id[17], path[PATH_MAX];
    cfg *c = config();
    prepare_id(c, id);
    prepare_opts merge = {store, c, 1, 0, 1, false, true}, both = {store, c, 1, 0, 3, false, true};
    expect_fail(&both, ERR_USAGE, "give it without --shard");
    expect_fail(&merge, ERR_INPUT, "holds no part of this preparation");
    assert_int_equal(stage_how(store, 1, "1/3", NULL), 0);
    must_die(stage_how(store, 1, "2/3", "prepare_in_db:1"), "2/3");
    expect_fail(&merge, ERR_INPUT,
                "2 of 3 parts are missing: 0/3, 2/3 (not finished); run prepare --shard");
    assert_int_equal(stage_how(store, 1, "2/3", NULL), 0);
    assert_int_equal(stage_how(store, 1, "0/3", NULL), 0);
    /* a damaged shard of a part is named, and that part alone is made again */
    snprintf(path, sizeof path, "%s/parts/%s/0-of-3/512x416/00000.h5", store, id);
    flip(path, 5000);
    expect_fail(&merge, ERR_MISMATCH, "shard 512x416/00000.h5 of part 0/3 is missing or damaged");
    prepare_opts again = {store, c, 1, 0, 3, true, false};
    prepare_result r;
    if (!prepare_run(&again, &r, &e))
        fail_msg("%s", e.msg);
    /* a part of another division */
    snprintf(path, sizeof path, "%s/parts/%s/1-of-2", store, id);
    assert_true(fs_mkdirs(path, &e));
    expect_fail(&merge, ERR_INPUT, "parts of two divisions lie in the store");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(stage_how(store, 1, "merge", NULL), 0);
    expect_same(store);
    mem_free(store);
    cfg_free(c);
}

static void part_sql(const char *path, const char *statement)
{
    err e = {0};
    db *d = db_open(path, true, &e);
    if (!d || !db_exec(d, statement, &e))
        fail_msg("%s", e.msg);
    db_close(d);
}

/* A part whose books and shards disagree gives no image: neither under another name nor with other
 * pixels than were judged. */
static void test_parts_rows(void **state)
{
    (void)state;
    char *store = fresh("rows"), id[17], path[PATH_MAX];
    cfg *c = config();
    prepare_id(c, id);
    prepare_opts merge = {store, c, 1, 0, 1, false, true};
    assert_int_equal(stage_how(store, 1, "0/2", NULL), 0);
    assert_int_equal(stage_how(store, 1, "1/2", NULL), 0);
    snprintf(path, sizeof path, "%s/parts/%s/0-of-2/outcomes.db", store, id);
    /* two rows change places, and their pixels with them */
    static const char swap[] =
        "CREATE TEMP TABLE was AS SELECT * FROM outcome;"
        "UPDATE outcome SET (pixel_hash, shard_row) = (SELECT w.pixel_hash, w.shard_row FROM was w"
        " WHERE w.shard = 0 AND w.shard_row = 1 - outcome.shard_row) WHERE shard = 0";
    part_sql(path, swap);
    expect_fail(&merge, ERR_MISMATCH, "part 0/2: shard 0 row 1 holds another image");
    part_sql(path, swap);
    part_sql(path, "UPDATE outcome SET pixel_hash = 'x' || pixel_hash WHERE shard = 0");
    expect_fail(&merge, ERR_MISMATCH, "part 0/2: shard 0 row 0 holds another image");
    part_sql(path, "UPDATE outcome SET pixel_hash = substr(pixel_hash, 2) WHERE shard = 0");
    assert_int_equal(stage_how(store, 1, "merge", NULL), 0);
    expect_same(store);
    mem_free(store);
    cfg_free(c);
}

/* A row whose facts a later scan changed is not taken from a part that judged it before. */
static void test_parts_stale(void **state)
{
    (void)state;
    err e = {0};
    char *store = fresh("stale");
    cfg *c = config();
    assert_int_equal(stage_how(store, 1, "0/2", NULL), 0);
    assert_int_equal(stage_how(store, 1, "1/2", NULL), 0);
    catalog *cat = catalog_open(store, true, &e);
    assert_non_null(cat);
    assert_true(db_exec(catalog_db(cat), "UPDATE file SET facts = 'x' WHERE id = 4", &e));
    catalog_close(cat);
    prepare_opts merge = {store, c, 1, 0, 1, false, true};
    expect_fail(&merge, ERR_INPUT, "no part knows row 4 of the catalogue as it is now");
    assert_int_equal(stage_how(store, 1, "0/2", NULL), 0);
    assert_int_equal(stage_how(store, 1, "1/2", NULL), 0);
    assert_int_equal(stage_how(store, 1, "merge", NULL), 0);
    expect_same(store);
    mem_free(store);
    cfg_free(c);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),        cmocka_unit_test(test_task),
        cmocka_unit_test(test_stage),         cmocka_unit_test(test_rows),
        cmocka_unit_test(test_provenance),    cmocka_unit_test(test_kill),
        cmocka_unit_test(test_lost_shard),    cmocka_unit_test(test_parts),
        cmocka_unit_test(test_parts_refused), cmocka_unit_test(test_parts_rows),
        cmocka_unit_test(test_parts_stale),
    };
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, archive_setup, archive_teardown);
}
