/* Contact sheets of a small store: which files appear, their modes, the same bytes for any number
 * of threads, and that every hit of an image is in the catalogue's table of reasons. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cairo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/log.h"
#include "core/worker.h"
#include "dicom/catalog.h"
#include "dicom/pseudo.h"
#include "dicom/scan.h"
#include "preprocess/audit.h"
#include "preprocess/preview.h"
#include "tests/unit/small_mammogram.h"

static char dir[] = "/tmp/mammovit-audit-XXXXXX";
static char *store, *archive, *folder;
static cfg *config;
enum { KEY = 3 }; /* every byte of the store's key */

#define MUST(call)                                                                                 \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s", e.msg);                                                                 \
    } while (0)

static void write_file(const char *name, const bytes *b)
{
    err e = {0};
    char *path = fs_join(archive, name);
    MUST(fs_write(path, b->p, b->n, &e));
    mem_free(path);
}

static void make_store(void)
{
    err e = {0};
    static const struct {
        const char *name;
        small m;
    } files[] = {
        {"a.dcm", {.number = 1}},
        {"b.dcm", {.number = 2, .side = "R"}},
        {"c.dcm", {.number = 3, .implant = "YES", .burned = "YES", .view = "ML"}},
        {"d.dcm", {.number = 4, .implant = "YES"}},
    };
    MUST(fs_mkdirs(archive, &e));
    /* a key under which the choice is not the first in the catalogue: test_choice */
    char key[32], *key_path = fs_join(store, "key");
    memset(key, KEY, sizeof key);
    MUST(fs_mkdirs(store, &e) && fs_write(key_path, key, sizeof key, &e));
    assert_int_equal(chmod(key_path, 0600), 0);
    mem_free(key_path);
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        bytes b = small_file(&files[i].m);
        write_file(files[i].name, &b);
        if (i == 0) {
            b.n /= 2;
            write_file("cut.dcm", &b);
        }
        free(b.p);
    }
    const char *const roots[] = {archive};
    scan_opts so = {.archive = roots,
                    .n_archives = 1,
                    .store = store,
                    .config = config,
                    .threads = 1,
                    .shard_n = 1};
    scan_result scanned;
    prepare_opts po = {.store = store, .config = config, .threads = 1, .shard_n = 1};
    prepare_result done;
    MUST(scan_run(&so, &scanned, &e));
    audit_opts early = {store, config, 1, 1};
    audit_result none;
    assert_false(audit_run(&early, &none, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.msg, "prepare --audit: nothing was prepared under this config");
    MUST(prepare_run(&po, &done, &e));
    assert_int_equal(done.kept, 2);
    assert_int_equal(done.excluded, 2);
    assert_int_equal(done.failed, 1);
    char id[17];
    prepare_id(config, id);
    char *audit = fs_join(store, "audit");
    folder = fs_join(audit, id);
    mem_free(audit);
}

static bool there(const char *name)
{
    struct stat st;
    char *path = fs_join(folder, name);
    bool ok = stat(path, &st) == 0;
    if (ok)
        assert_int_equal(st.st_mode & 0777, 0600);
    mem_free(path);
    return ok;
}

static text slurp(const char *name)
{
    err e = {0};
    text t;
    char *path = fs_join(folder, name);
    MUST(fs_read(path, 1 << 24, &t.s, &t.len, &e));
    mem_free(path);
    return t;
}

static audit_result run(int images, int threads)
{
    err e = {0};
    audit_result r;
    audit_opts o = {store, config, images, threads};
    MUST(audit_run(&o, &r, &e));
    return r;
}

static void test_sheets(void **state)
{
    (void)state;
    audit_result r = run(5, 1);
    struct stat st;
    /* KEPT 2; IMPLANT 2; BURNED_IN 1; VIEW_NONSTANDARD 1 */
    assert_int_equal(r.sheets, 4);
    assert_int_equal(r.pictures, 6);
    assert_int_equal(r.left, 0);
    assert_true(there("KEPT.png") && there("IMPLANT.png") && there("BURNED_IN.png") &&
                there("VIEW_NONSTANDARD.png") && there("index.html"));
    assert_false(there("IO_TRUNCATED.png"));
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    text page = slurp("index.html");
    assert_non_null(strstr(page.s, "<tr><td>KEPT</td><td>kept</td><td>2</td><td>0</td>"
                                   "<td>40.00 %</td><td><a href=\"KEPT.png\">2 images</a>"));
    assert_non_null(strstr(page.s, "<tr><td>IMPLANT</td><td>breast implant</td><td>2</td>"));
    assert_non_null(strstr(page.s, "<td>BURNED_IN</td><td>burned-in annotation</td><td>0</td>"
                                   "<td>1</td><td>20.00 %</td>"
                                   "<td><a href=\"BURNED_IN.png\">1 image</a>"));
    assert_non_null(strstr(page.s, "<td>IO_TRUNCATED</td><td>the file ends before its data does"
                                   "</td><td>1</td><td>0</td><td>20.00 %</td><td>no picture"));
    assert_null(strstr(page.s, "IDENTIFIER"));
    assert_null(strstr(page.s, ".dcm"));
    mem_free(page.s);
}

/* One image of two, and more threads: the choice and the bytes stay. */
static void test_deterministic(void **state)
{
    (void)state;
    static const char *const names[] = {"KEPT.png", "IMPLANT.png", "index.html"};
    text first[COUNT_OF(names)];
    assert_int_equal(run(1, 1).pictures, 4);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        first[i] = slurp(names[i]);
    run(5, 1);
    text more = slurp("KEPT.png");
    assert_true(more.len > first[0].len);
    mem_free(more.s);
    assert_int_equal(run(1, 3).pictures, 4);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        text again = slurp(names[i]);
        assert_int_equal(again.len, first[i].len);
        assert_memory_equal(again.s, first[i].s, again.len);
        mem_free(again.s);
        mem_free(first[i].s);
    }
}

typedef struct choice { /* of the kept images: who comes first by the keyed name */
    pseudo *key;
    char order[33], first[33]; /* the least so far, and the first in the catalogue */
    int64_t least;
} choice;

static bool weigh(void *ctx, const catalog_row *r, err *e)
{
    choice *c = ctx;
    char value[80], order[33];
    if (!r->prepared || r->primary != REASON_NONE)
        return true;
    snprintf(value, sizeof value, "KEPT|%s", r->image);
    pseudo_name(c->key, "audit", value, order);
    if (!c->first[0])
        memcpy(c->first, order, sizeof c->first);
    if (!c->order[0] || strcmp(order, c->order) < 0) {
        memcpy(c->order, order, sizeof c->order);
        c->least = r->id;
    }
    return true;
}

static void kept_as(int64_t but, const char *primary)
{
    err e = {0};
    text t;
    text_init(&t);
    text_addf(&t, "UPDATE prepared SET primary_reason = '%s' WHERE shard >= 0 AND file <> %lld",
              primary, (long long)but);
    catalog *c = catalog_open(store, true, &e);
    MUST(c && db_exec(catalog_db(c), t.s, &e));
    catalog_close(c);
    text_release(&t);
}

static cairo_surface_t *picture(const char *name)
{
    char *path = fs_join(folder, name);
    cairo_surface_t *s = cairo_image_surface_create_from_png(path);
    assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
    mem_free(path);
    return s;
}

/* The keyed name of an image decides, not its place in the catalogue: whether it is shown, and
 * where. */
static void test_choice(void **state)
{
    (void)state;
    err e = {0};
    choice k = {.key = pseudo_open(store, false, &e)};
    catalog *c = catalog_open(store, false, &e);
    char id[17];
    prepare_id(config, id);
    assert_true(k.key && c && catalog_each(c, id, weigh, &k, &e));
    catalog_close(c);
    pseudo_free(k.key);
    assert_true(strcmp(k.order, k.first) < 0); /* or this would prove nothing */
    kept_as(k.least, "LOSSY");
    run(1, 1);
    cairo_surface_t *alone = picture("KEPT.png");
    kept_as(k.least, "");
    run(1, 1);
    cairo_surface_t *one = picture("KEPT.png");
    run(5, 1);
    cairo_surface_t *both = picture("KEPT.png");
    int h = cairo_image_surface_get_height(alone), w = cairo_image_surface_get_width(alone);
    assert_int_equal(cairo_image_surface_get_width(both), 2 * w);
    for (int y = 0; y < h; y++) {
        const uint8_t *a = cairo_image_surface_get_data(alone),
                      *o = cairo_image_surface_get_data(one),
                      *b = cairo_image_surface_get_data(both);
        a += y * cairo_image_surface_get_stride(alone);
        o += y * cairo_image_surface_get_stride(one);
        b += y * cairo_image_surface_get_stride(both);
        assert_memory_equal(a, o, (size_t)w * 4);
        assert_memory_equal(a, b, (size_t)w * 4); /* the left one of two */
    }
    cairo_surface_destroy(alone);
    cairo_surface_destroy(one);
    cairo_surface_destroy(both);
}

static void test_refused(void **state)
{
    (void)state;
    err e = {0};
    audit_result r;
    audit_opts o = {store, config, 0, 1};
    assert_false(audit_run(&o, &r, &e));
    assert_string_equal(e.msg, "--audit 0: wanted 1..100 images per code");
    o.images = 101;
    assert_false(audit_run(&o, &r, &e));
    o.images = 1;
    /* a file that changed since it was judged is not shown in its place */
    bytes b = small_file(&(small){.number = 5});
    write_file("c.dcm", &b);
    free(b.p);
    o.images = 5;
    memset(&e, 0, sizeof e);
    MUST(audit_run(&o, &r, &e));
    assert_int_equal(r.pictures, 3);
    assert_int_equal(r.left, 3);
    char *away = fs_join(dir, "away");
    assert_int_equal(rename(archive, away), 0);
    assert_false(audit_run(&o, &r, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_null(strstr(e.msg, "audit-"));
    assert_int_equal(rename(away, archive), 0);
    mem_free(away);
}

static void expect_codes(db *d, const char *file, const char *codes, const char *primary)
{
    err e = {0};
    text t;
    text_init(&t);
    db_stmt *s = db_prepare(d,
                            "SELECT r.code, p.primary_reason FROM reason r JOIN file f ON f.id ="
                            " r.file JOIN prepared p ON p.file = f.id AND p.config_id ="
                            " r.config_id WHERE f.path = ?1 ORDER BY r.code",
                            &e);
    assert_non_null(s);
    db_bind_text(s, 1, file);
    while (db_step(s, &e) == 1) {
        text_addf(&t, "%s%s", t.len ? " " : "", db_text(s, 0));
        assert_string_equal(db_text(s, 1), primary);
    }
    assert_string_equal(t.s, codes);
    text_release(&t);
}

/* Every hit is a row of its own, flags and later hits included. */
static void test_reason_rows(void **state)
{
    (void)state;
    err e = {0};
    catalog *c = catalog_open(store, false, &e);
    assert_non_null(c);
    db *d = catalog_db(c);
    expect_codes(d, "a.dcm", "", "");
    expect_codes(d, "c.dcm", "BURNED_IN IMPLANT VIEW_NONSTANDARD", "IMPLANT");
    expect_codes(d, "d.dcm", "IMPLANT", "IMPLANT");
    expect_codes(d, "cut.dcm", "IO_TRUNCATED", "IO_TRUNCATED");
    catalog_close(c);
}

int main(void)
{
    static const worker_task tasks[] = {
        [SCAN_TASK] = {"scan", scan_header_task, pixels_init},
        [PREPARE_TASK] = {"prepare", prepare_image_task, prepare_init},
        [PREVIEW_TASK] = {"preview", preview_task, prepare_init},
    };
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reason_rows),   cmocka_unit_test(test_sheets),
        cmocka_unit_test(test_deterministic), cmocka_unit_test(test_choice),
        cmocka_unit_test(test_refused),
    };
    static const cfg_group *const groups[] = {&scan_options, &prepare_options, &exclude_options};
    err e = {0};
    log_set_level(LOG_ERROR);
    config = cfg_new(groups, COUNT_OF(groups));
    if (!cfg_set(config, "prepare.sizes=128x96", &e) || !worker_start(tasks, COUNT_OF(tasks), &e) ||
        !mkdtemp(dir)) {
        fprintf(stderr, "cannot start: %s\n", e.msg);
        return 1;
    }
    store = fs_join(dir, "store");
    archive = fs_join(dir, "archive");
    make_store();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    worker_stop();
    mem_free(store);
    mem_free(archive);
    mem_free(folder);
    cfg_free(config);
    if (!fs_remove_tree(dir, &e))
        fprintf(stderr, "%s\n", e.msg);
    return failed;
}
