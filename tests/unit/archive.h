/* A small archive of synthetic mammograms and the stages on it, each in a process of its own: for
 * tests that kill a stage and compare stores. A test program runs itself for a stage:
 * PROGRAM STORE THREADS HOW, see archive_main. */
#ifndef TESTS_UNIT_ARCHIVE_H
#define TESTS_UNIT_ARCHIVE_H

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
#include "preprocess/repair.h"
#include "preprocess/shard.h"

static const worker_task tasks[] = {
    [SCAN_TASK] = {"scan", scan_header_task, pixels_init},
    [PREPARE_TASK] = {"prepare", prepare_image_task, prepare_init},
};
static char dir[64], self[PATH_MAX];

static inline cfg *config(void)
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

static inline void element(text *t, unsigned group, unsigned tag, const char *vr, const void *v,
                           size_t n)
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

static inline void words(text *t, unsigned group, unsigned tag, const char *vr, const char *s)
{
    element(t, group, tag, vr, s, strlen(s));
}

static inline void u16(text *t, unsigned tag, unsigned v)
{
    unsigned char b[2] = {(unsigned char)v, (unsigned char)(v >> 8)};
    element(t, 0x28, tag, "US", b, 2);
}

enum { ROWS = 320, COLS = 240 };

static inline void picture(const kind *k, int seed, uint16_t *v)
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

static inline void dicom(const kind *k, int seed, text *t)
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

static inline void write_archive(const char *archive)
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

/* ---- the stage ------------------------------------------------------------------------------- */

static inline void stage_say(void *ctx, const char *what, const char *done, const char *why)
{
    (void)ctx;
    (void)what;
    (void)done;
    (void)why;
}

/* The first run on a store scans, the later ones prepare: all, part "k/n",
 * "merge", or "repair". */
static inline bool stage_run(const char *store, int threads, const char *how, const cfg *c, err *e)
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
    } else if (strcmp(how, "repair") == 0) {
        repair_opts o = {store, c, threads, stage_say, NULL};
        repair_result rr;
        char id[17];
        prepare_id(c, id);
        ok = repair_run(&o, &rr, e) && (cat = catalog_open(store, true, e)) &&
             catalog_export(cat, id, out, e);
        catalog_close(cat);
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

static inline int archive_main(const char *store, int threads, const char *how)
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
static inline int stage_how(const char *store, int threads, const char *how, const char *kill_at)
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

static inline int stage(const char *store, int threads, const char *kill_at)
{
    return stage_how(store, threads, "all", kill_at);
}

static inline char *store_path(const char *name)
{
    return fs_join(dir, name);
}

static inline bool copy_one(void *ctx, const fs_entry *f, err *e)
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
static inline char *fresh(const char *name)
{
    err e = {0};
    char *base = store_path("base"), *to = store_path(name);
    assert_true(fs_mkdirs(to, &e));
    assert_true(fs_walk(base, copy_one, to, &e));
    mem_free(base);
    return to;
}

static inline bool hash_one(void *ctx, const fs_entry *f, err *e)
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
static inline void fingerprint(const char *store, text *out)
{
    err e = {0};
    text_init(out);
    assert_true(fs_walk(store, hash_one, out, &e));
}

static text reference;

static inline void expect_same(const char *store)
{
    text t;
    if (!reference.len) { /* a test that runs alone */
        char *undisturbed = fresh("undisturbed");
        assert_int_equal(stage(undisturbed, 2, NULL), 0);
        fingerprint(undisturbed, &reference);
        mem_free(undisturbed);
    }
    fingerprint(store, &t);
    assert_string_equal(t.s, reference.s);
    text_release(&t);
}

static inline void must_die(int status, const char *where)
{
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("%s: not killed, status %d", where, status);
}

static inline void flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_true(fputc(c ^ 0x10, f) >= 0 && fclose(f) == 0);
}

static inline int archive_setup(void **state)
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

static inline int archive_teardown(void **state)
{
    (void)state;
    err e = {0};
    text_release(&reference);
    worker_stop();
    return fs_remove_tree(dir, &e) ? 0 : -1;
}
#endif
