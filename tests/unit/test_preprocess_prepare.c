/* prepare: config checks, the pure task on DICOM bytes, and the stage: verdicts and books of a
 * small archive, the same bytes for one and four threads and after a SIGKILL at every kind of
 * point. The program runs itself for the stage: test_preprocess_prepare STORE THREADS HOW. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/worker.h"
#include "dicom/catalog.h"
#include "dicom/pixels.h"
#include "preprocess/prepare.h"
#include "preprocess/shard.h"

static const worker_task tasks[] = {
    [SCAN_TASK] = {"scan", scan_header_task, pixels_init},
    [PREPARE_TASK] = {"prepare", prepare_image_task, prepare_init},
};
static char dir[64], self[PATH_MAX];

static cfg *config(void)
{
    static const cfg_group *const groups[] = {&scan_options, &prepare_options, &exclude_options};
    cfg *c = cfg_new(groups, COUNT_OF(groups));
    err e = {0};
    assert_true(cfg_set(c, "prepare.sizes=[512x416, 128x96]", &e));
    assert_true(cfg_set(c, "prepare.shard_mib=1", &e)); /* two images per shard */
    assert_true(cfg_set(c, "prepare.mask=true", &e));
    return c;
}

/* ---- a DICOM file ---------------------------------------------------------------------------- */

typedef struct kind { /* what differs from an ordinary mammogram; NULL = nothing */
    const char *name, *modality, *intent, *implant, *side, *view;
    const char *want;
    bool blank, cut, twin;
} kind;

static void element(text *t, unsigned group, unsigned tag, const char *vr, const void *v, size_t n)
{
    bool wide = strcmp(vr, "OW") == 0 || strcmp(vr, "OB") == 0, odd = n % 2;
    size_t len = n + odd;
    unsigned char head[12] = {(unsigned char)group, (unsigned char)(group >> 8),
                              (unsigned char)tag,   (unsigned char)(tag >> 8),
                              (unsigned char)vr[0], (unsigned char)vr[1]};
    for (int i = 0; i < (wide ? 4 : 2); i++)
        head[(wide ? 8 : 6) + i] = (unsigned char)(len >> (8 * i));
    text_addn(t, (char *)head, wide ? 12 : 8);
    text_addn(t, v, n);
    if (odd)
        text_addn(t, strcmp(vr, "UI") == 0 || wide ? "\0" : " ", 1);
}

static void words(text *t, unsigned group, unsigned tag, const char *vr, const char *s)
{
    element(t, group, tag, vr, s, strlen(s));
}

static void u16(text *t, unsigned tag, unsigned v)
{
    unsigned char b[2] = {(unsigned char)v, (unsigned char)(v >> 8)};
    element(t, 0x28, tag, "US", b, 2);
}

enum { ROWS = 320, COLS = 240 };

static void picture(const kind *k, int seed, uint16_t *v)
{
    rng g;
    bool right = k->side && k->side[0] == 'R';
    rng_init(&g, 11, RNG_TEST, (uint64_t)seed, 0);
    int width = 120 + (int)rng_below(&g, 60), height = 110 + (int)rng_below(&g, 40);
    for (int y = 0; y < ROWS; y++)
        for (int x = 0; x < COLS; x++) {
            double e =
                (double)x * x / (width * width) + (double)(y - 160) * (y - 160) / (height * height);
            int s = 30 + (int)rng_below(&g, 20);
            s += e < 1 && !k->blank ? (int)(700 + 2000 * (1 - e)) + (int)rng_below(&g, 80) : 0;
            v[y * COLS + (right ? COLS - 1 - x : x)] = (uint16_t)s;
        }
}

static void dicom(const kind *k, int seed, text *t)
{
    static uint16_t v[ROWS * COLS];
    char uid[64], study[64], patient[16], date[16];
    const char *cls = k->intent && strstr(k->intent, "PROC") ? "1.2.840.10008.5.1.4.1.1.1.2.1"
                                                             : "1.2.840.10008.5.1.4.1.1.1.2";
    snprintf(uid, sizeof uid, "1.2.3.4.%d", seed);
    snprintf(study, sizeof study, "1.2.3.5.%d", seed / 4);
    snprintf(patient, sizeof patient, "P%03d", seed / 8);
    snprintf(date, sizeof date, "2019%02d15", seed % 12 + 1);
    for (int i = 0; i < 128; i++)
        text_addn(t, "\0", 1);
    text_add(t, "DICM");
    text m;
    text_init(&m);
    element(&m, 2, 1, "OB", "\0\1", 2);
    words(&m, 2, 2, "UI", cls);
    words(&m, 2, 3, "UI", uid);
    words(&m, 2, 0x10, "UI", "1.2.840.10008.1.2.1");
    words(&m, 2, 0x12, "UI", "1.2.3.4.5");
    unsigned char len[4] = {(unsigned char)m.len, (unsigned char)(m.len >> 8), 0, 0};
    element(t, 2, 0, "UL", len, 4);
    text_addn(t, m.s, m.len);
    text_release(&m);
    words(t, 8, 8, "CS", "ORIGINAL\\PRIMARY");
    words(t, 8, 0x16, "UI", cls);
    words(t, 8, 0x18, "UI", uid);
    words(t, 8, 0x20, "DA", date);
    words(t, 8, 0x22, "DA", date);
    words(t, 8, 0x60, "CS", k->modality ? k->modality : "MG");
    words(t, 8, 0x68, "CS", k->intent ? k->intent : "FOR PRESENTATION");
    words(t, 8, 0x70, "LO", "HOLOGIC, Inc.");
    words(t, 0x10, 0x20, "LO", patient);
    words(t, 0x10, 0x40, "CS", "F");
    words(t, 0x18, 0x1164, "DS", "0.7\\0.7");
    words(t, 0x18, 0x5101, "CS", k->view ? k->view : "CC");
    words(t, 0x20, 0xd, "UI", study);
    words(t, 0x20, 0xe, "UI", "1.2.3.6");
    words(t, 0x20, 0x62, "CS", k->side ? k->side : "L");
    u16(t, 2, 1);
    words(t, 0x28, 4, "CS", "MONOCHROME2");
    u16(t, 0x10, ROWS);
    u16(t, 0x11, COLS);
    u16(t, 0x100, 16);
    u16(t, 0x101, 12);
    u16(t, 0x102, 11);
    u16(t, 0x103, 0);
    words(t, 0x28, 0x301, "CS", "NO");
    words(t, 0x28, 0x1050, "DS", "2048");
    words(t, 0x28, 0x1051, "DS", "4096");
    if (k->implant)
        words(t, 0x28, 0x1300, "CS", k->implant);
    picture(k, k->twin ? 1000 : seed, v);
    element(t, 0x7fe0, 0x10, "OW", v, sizeof v);
    if (k->cut)
        t->len -= 3000;
}

static const kind kinds[] = {
    {.name = "a", .want = ""},
    {.name = "b", .side = "R", .want = ""},
    {.name = "c", .view = "MLO", .want = ""},
    {.name = "d", .implant = "YES", .want = "IMPLANT"},
    {.name = "e", .side = "R", .view = "MLO", .want = ""},
    {.name = "f", .intent = "FOR PROCESSING", .want = "FOR_PROCESSING"},
    {.name = "g", .want = ""},
    {.name = "h", .modality = "CT", .want = "NOT_MG"},
    {.name = "i", .side = "R", .want = ""},
    {.name = "j", .blank = true, .want = "BLANK"},
    {.name = "k", .cut = true, .want = "IO_TRUNCATED"},
    {.name = "l", .view = "ML", .want = "VIEW_NONSTANDARD"},
    {.name = "m", .implant = "NO", .want = ""},
    {.name = "n", .twin = true, .want = ""},
    {.name = "o", .twin = true, .want = ""},
    {.name = "p", .side = "R", .want = ""},
};
enum { KEPT = 10, EXCLUDED = 5, FAILED = 2 }; /* one more file is no DICOM */

static void write_archive(const char *archive)
{
    err e = {0};
    assert_true(fs_mkdirs(archive, &e));
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        text t;
        text_init(&t);
        dicom(&kinds[i], (int)i, &t);
        char *path = fs_join(archive, kinds[i].name);
        assert_true(fs_write(path, t.s, t.len, &e));
        mem_free(path);
        text_release(&t);
    }
    char *path = fs_join(archive, "note.txt");
    assert_true(fs_write(path, "not a picture", 13, &e));
    mem_free(path);
}

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

/* The first run on a store scans, the later ones prepare: all, part "k/n", or "merge". */
static bool stage_run(const char *store, int threads, const char *how, const cfg *c, err *e)
{
    char *archive = fs_join(store, "../archive"), *base = fs_join(store, "catalog.db");
    char *out = fs_join(store, "export.csv");
    const char *roots[] = {archive};
    scan_result sr;
    prepare_result r;
    catalog *cat = NULL;
    bool ok;
    if (!fs_exists(base)) {
        scan_opts so = {roots, 1, store, c, threads, 0, 1, false};
        ok = scan_run(&so, &sr, e);
    } else {
        prepare_opts o = {store, c, threads, 0, 1, false, strcmp(how, "merge") == 0};
        bool part = sscanf(how, "%d/%d", &o.shard_k, &o.shard_n) == 2;
        ok = prepare_run(&o, &r, e) && r.seen == r.kept + r.excluded + r.failed;
        if (ok && !part)
            cat = catalog_open(store, true, e);
        ok = ok && (part || (cat && catalog_export(cat, r.config_id, out, e)));
        catalog_close(cat);
    }
    mem_free(out);
    mem_free(base);
    mem_free(archive);
    return ok;
}

static int stage_main(const char *store, int threads, const char *how)
{
    err e = {0};
    log_set_level(LOG_ERROR);
    if (!worker_start(tasks, COUNT_OF(tasks), &e))
        return 99;
    cfg *c = config();
    bool ok = stage_run(store, threads, how, c, &e);
    if (!ok)
        fprintf(stderr, "%s\n", e.msg);
    cfg_free(c);
    worker_stop();
    return ok ? 0 : 98;
}

/* Run the stage in a process of its own; returns the wait status. */
static int stage_how(const char *store, int threads, const char *how, const char *kill_at)
{
    char n[16];
    int status;
    snprintf(n, sizeof n, "%d", threads);
    pid_t p = fork();
    if (p == 0) {
        if (kill_at)
            setenv("MAMMOVIT_TEST_KILL", kill_at, 1);
        execl(self, self, store, n, how, (char *)NULL);
        _exit(127);
    }
    assert_true(p > 0 && waitpid(p, &status, 0) == p);
    return status;
}

static int stage(const char *store, int threads, const char *kill_at)
{
    return stage_how(store, threads, "all", kill_at);
}

static char *store_path(const char *name)
{
    return fs_join(dir, name);
}

static bool copy_one(void *ctx, const fs_entry *f, err *e)
{
    char *data, *to = fs_join(ctx, f->relative);
    size_t len;
    bool ok = strchr(f->relative, '/') || strcmp(f->relative, ".lock") == 0;
    if (!ok) {
        ok = fs_read(f->path, (size_t)1 << 30, &data, &len, e) && fs_write(to, data, len, e);
        mem_free(data);
        ok = ok && chmod(to, 0600) == 0;
    }
    mem_free(to);
    return ok;
}

/* A store as scan left it. */
static char *fresh(const char *name)
{
    err e = {0};
    char *base = store_path("base"), *to = store_path(name);
    assert_true(fs_mkdirs(to, &e));
    assert_true(fs_walk(base, copy_one, to, &e));
    mem_free(base);
    return to;
}

static bool hash_one(void *ctx, const fs_entry *f, err *e)
{
    char sha[65];
    (void)e;
    if (strncmp(f->relative, "catalog.db", 10) == 0 || strcmp(f->relative, ".lock") == 0 ||
        strncmp(f->relative, "progress/", 9) == 0)
        return true;
    if (!fs_sha256_file(f->path, sha, e))
        return false;
    text_addf(ctx, "%s %s\n", f->relative, sha);
    return true;
}

/* Every file of a store but the database itself, whose export stands for it. */
static void fingerprint(const char *store, text *out)
{
    err e = {0};
    text_init(out);
    assert_true(fs_walk(store, hash_one, out, &e));
}

static text reference;

static void expect_same(const char *store)
{
    text t;
    fingerprint(store, &t);
    assert_string_equal(t.s, reference.s);
    text_release(&t);
}

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
    o.force = true;
    e.code = ERR_NONE;
    if (!prepare_run(&o, &r, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(r.kept, KEPT);
    assert_true(fs_exists(path));
    expect_same(store);
    mem_free(path);
    mem_free(store);
    cfg_free(c);
}

/* ---- parts ----------------------------------------------------------------------------------- */

static void must_die(int status, const char *where)
{
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("%s: not killed, status %d", where, status);
}

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

static void flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_true(fputc(c ^ 0x10, f) >= 0 && fclose(f) == 0);
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

static int setup(void **state)
{
    (void)state;
    err e = {0};
    /* in memory where that exists: these programs sync much */
    snprintf(dir, sizeof dir, "/dev/shm/mammovit_prepare_XXXXXX");
    if (!mkdtemp(dir)) {
        snprintf(dir, sizeof dir, "/tmp/mammovit_prepare_XXXXXX");
        if (!mkdtemp(dir))
            return -1;
    }
    char *archive = store_path("archive"), *base = store_path("base");
    write_archive(archive);
    bool ok = fs_mkdirs(base, &e) && stage(base, 2, NULL) == 0;
    mem_free(archive);
    mem_free(base);
    return ok ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    err e = {0};
    text_release(&reference);
    worker_stop();
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return stage_main(argv[1], (int)strtol(argv[2], NULL, 10), argv[3]);
    err e = {0};
    if (!realpath(argv[0], self) || !worker_start(tasks, COUNT_OF(tasks), &e))
        return 1;
    log_set_level(LOG_ERROR);
    prepare_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),      cmocka_unit_test(test_task),
        cmocka_unit_test(test_stage),       cmocka_unit_test(test_rows),
        cmocka_unit_test(test_kill),        cmocka_unit_test(test_lost_shard),
        cmocka_unit_test(test_parts),       cmocka_unit_test(test_parts_refused),
        cmocka_unit_test(test_parts_stale),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
