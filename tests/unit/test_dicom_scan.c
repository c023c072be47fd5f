/* scan over a small archive: one row per file, the right reason for each, resume, changes, files
 * that go, shards and their merge, the export that is the same for any number of threads, and no
 * identifier outside the store. */
#include "tests/unit/dicom_bytes.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/worker.h"
#include "dicom/catalog.h"
#include "dicom/pixels.h"
#include "dicom/scan.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[64];
static const cfg_group *const groups[] = {&scan_options};

static char *at(const char *name)
{
    return fs_join(base, name);
}

static void save(const char *name, bytes b)
{
    err e = {0};
    char *p = at(name), *slash = strrchr(p, '/');
    *slash = '\0';
    assert_true(fs_mkdirs(p, &e));
    *slash = '/';
    assert_true(fs_write(p, b.p, b.n, &e));
    mem_free(p);
    free(b.p);
}

static bytes exam_file(const char *patient, const char *study, const char *sop, const char *view,
                       const char *side)
{
    bytes b = {0};
    image m = IMAGE(.ts = TS_EXPLICIT);
    preamble(&b, TS_EXPLICIT);
    str(&b, 0x0008, 0x0016, "UI", UID_MG);
    str(&b, 0x0008, 0x0018, "UI", sop);
    str(&b, 0x0008, 0x0020, "DA", "20200131");
    str(&b, 0x0008, 0x0060, "CS", "MG");
    str(&b, 0x0010, 0x0020, "LO", patient);
    str(&b, 0x0018, 0x5101, "CS", view);
    str(&b, 0x0020, 0x000D, "UI", study);
    str(&b, 0x0020, 0x0062, "CS", side);
    image_module(&b, m);
    native_pixels(&b, &m);
    return b;
}

static void make_archive(void)
{
    save("arch/p1/lcc", exam_file("CANARY1", "1.9.1", "1.9.1.1", "CC", "L"));
    save("arch/p1/lmlo", exam_file("CANARY1", "1.9.1", "1.9.1.2", "MLO", "L"));
    save("arch/p2/rcc", exam_file("CANARY2", "1.9.2", "1.9.2.1", "CC", "R"));
    bytes cut = exam_file("CANARY3", "1.9.3", "1.9.3.1", "CC", "R");
    cut.n -= 10;
    save("arch/p3/cut", cut);
    bytes txt = {0};
    put(&txt, "hello, this is no image", 23);
    save("arch/readme.txt", txt);
    bytes none = {0};
    preamble(&none, TS_EXPLICIT);
    identity(&none);
    save("arch/p4/report", none);
    char *link = at("arch/link");
    assert_int_equal(symlink("readme.txt", link), 0);
    mem_free(link);
}

static bool run(const char *store, int threads, const char *set, scan_opts o, scan_result *r,
                err *e)
{
    char *archive = at("arch"), *s = at(store);
    const char *list[] = {archive};
    cfg *c = cfg_new(groups, 1);
    memset(e, 0, sizeof(*e));
    if (set)
        assert_true(cfg_set(c, set, e));
    o.archive = list;
    o.n_archives = 1;
    o.store = s;
    o.config = c;
    o.threads = threads;
    o.shard_n = o.shard_n ? o.shard_n : 1;
    bool ok = scan_run(&o, r, e);
    cfg_free(c);
    mem_free(archive);
    mem_free(s);
    return ok;
}

static char *export_of(const char *store)
{
    err e = {0};
    char *s = at(store), *csv = at("export.csv"), *data;
    size_t n;
    catalog *c = catalog_open(s, false, &e);
    assert_non_null(c);
    assert_true(catalog_export(c, NULL, csv, &e));
    catalog_close(c);
    assert_true(fs_read(csv, 1 << 20, &data, &n, &e));
    mem_free(s);
    mem_free(csv);
    return data;
}

typedef struct seen {
    int n;
    char line[16][400];
} seen;
static bool note(void *ctx, const catalog_row *r, err *e)
{
    seen *s = ctx;
    snprintf(s->line[s->n++], 400, "%s %s %s %c %s %zu %zu", r->path, reason_name(r->scan_reason),
             record_view_name(r->rec.view), r->rec.side ? r->rec.side : '-', r->rec.patient_id,
             strlen(r->patient), strlen(r->image));
    return true;
}
static seen rows_of(const char *store)
{
    err e = {0};
    seen s = {0};
    char *p = at(store);
    catalog *c = catalog_open(p, false, &e);
    assert_non_null(c);
    assert_true(catalog_each(c, NULL, note, &s, &e));
    assert_int_equal(catalog_count(c), s.n);
    catalog_close(c);
    mem_free(p);
    return s;
}
static const char *row(const seen *s, const char *path)
{
    for (int i = 0; i < s->n; i++)
        if (strncmp(s->line[i], path, strlen(path)) == 0 && s->line[i][strlen(path)] == ' ')
            return s->line[i] + strlen(path) + 1;
    return "missing";
}

static void outcomes(void **state)
{
    err e;
    scan_result r;
    assert_true(run("st", 2, NULL, (scan_opts){0}, &r, &e));
    assert_int_equal(r.seen, 7);
    assert_int_equal(r.candidates, 3);
    assert_int_equal(r.failed, 4);
    assert_int_equal(r.unchanged, 0);
    seen s = rows_of("st");
    assert_int_equal(s.n, 7);
    assert_string_equal(row(&s, "p1/lcc"), " CC L CANARY1 32 32");
    assert_string_equal(row(&s, "p1/lmlo"), " MLO L CANARY1 32 32");
    assert_string_equal(row(&s, "p3/cut"), "IO_TRUNCATED CC R CANARY3 32 32");
    assert_string_equal(row(&s, "p4/report"), "NOT_IMAGE  - W-0001 32 32");
    assert_string_equal(row(&s, "readme.txt"), "IO_UNREADABLE  -  0 0");
    assert_string_equal(row(&s, "link"), "IO_UNREADABLE  -  0 0");
    struct stat st;
    char *p = at("st/catalog.db");
    assert_int_equal(stat(p, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    mem_free(p);
}

static void same_bytes_for_any_threads(void **state)
{
    err e;
    scan_result r;
    char *key = at("st/key"), *dir = at("st4"), *copy = at("st4/key"), *data;
    size_t n;
    assert_true(fs_mkdirs(dir, &e));
    assert_true(fs_read(key, 100, &data, &n, &e));
    assert_true(fs_write(copy, data, n, &e));
    assert_int_equal(chmod(copy, 0600), 0);
    assert_true(run("st4", 4, NULL, (scan_opts){0}, &r, &e));
    char *a = export_of("st"), *b = export_of("st4");
    assert_string_equal(a, b);
    assert_null(strstr(a, "CANARY"));
    assert_null(strstr(a, "1.9.1"));
    assert_null(strstr(a, "20200131")); /* four digits may stand in a pseudonym */
    assert_null(strstr(a, "2020-01"));
    assert_null(strstr(a, "lmlo"));
    assert_non_null(strstr(a, "MLO"));
    mem_free(a);
    mem_free(b);
    mem_free(data);
    mem_free(key);
    mem_free(dir);
    mem_free(copy);
}

static void resumes(void **state)
{
    err e;
    scan_result r;
    assert_true(run("st", 2, NULL, (scan_opts){0}, &r, &e));
    assert_int_equal(r.seen, 7);
    assert_int_equal(r.unchanged, 6); /* what could not be opened is tried again */
    assert_int_equal(r.candidates, 3);
    char *store = at("st"), *gone = at("arch/p2/rcc");
    catalog *c = catalog_open(store, true, &e);
    catalog_row one = {.id = 1, .primary = REASON_NONE, .shard = 3, .shard_row = 4};
    reason_add(&one.reasons, REASON_LOSSY);
    assert_true(catalog_begin(c, &e));
    assert_true(catalog_set_prepared(c, "cfg", &one, &e));
    assert_true(catalog_commit(c, &e));
    catalog_close(c);
    /* a file that changed is read again, one that went is not visited any more */
    save("arch/p1/lmlo", exam_file("CANARY1", "1.9.1", "1.9.1.2", "ML", "L"));
    assert_int_equal(unlink(gone), 0);
    assert_true(run("st", 2, NULL, (scan_opts){0}, &r, &e));
    assert_int_equal(r.seen, 6);
    assert_int_equal(r.unchanged, 4);
    seen s = rows_of("st");
    assert_int_equal(s.n, 6);
    assert_string_equal(row(&s, "p1/lmlo"), " ML L CANARY1 32 32");
    assert_string_equal(row(&s, "p2/rcc"), "missing");
    /* it comes back with its old row */
    save("arch/p2/rcc", exam_file("CANARY2", "1.9.2", "1.9.2.1", "CC", "R"));
    assert_true(run("st", 2, NULL, (scan_opts){0}, &r, &e));
    s = rows_of("st");
    assert_int_equal(s.n, 7);
    mem_free(store);
    mem_free(gone);
}

typedef struct outcome {
    int prepared, shard_row, lossy;
} outcome;
static bool look(void *ctx, const catalog_row *r, err *e)
{
    outcome *o = ctx;
    if (r->prepared) {
        o->prepared++;
        o->shard_row = r->shard_row;
        o->lossy = reason_has(&r->reasons, REASON_LOSSY);
    }
    return true;
}
static outcome outcomes_of(const char *config)
{
    err e = {0};
    outcome o = {0};
    char *p = at("st");
    catalog *c = catalog_open(p, false, &e);
    assert_true(catalog_each(c, config, look, &o, &e));
    catalog_close(c);
    mem_free(p);
    return o;
}

/* Outcomes of prepare stay while the facts stay, and belong to one config. */
static void prepared_rows(void **state)
{
    err e;
    scan_result r;
    char *p = at("st");
    catalog *c = catalog_open(p, true, &e);
    seen s = {0};
    assert_true(catalog_each(c, NULL, note, &s, &e));
    db_stmt *q = db_prepare(catalog_db(c), "SELECT id FROM file WHERE path = 'p1/lcc'", &e);
    assert_int_equal(db_step(q, &e), 1);
    catalog_row one = {.id = db_i64(q, 0), .shard = 3, .shard_row = 4};
    assert_int_equal(db_step(q, &e), 0);
    reason_add(&one.reasons, REASON_LOSSY);
    assert_true(catalog_begin(c, &e));
    assert_true(db_exec(catalog_db(c), "DELETE FROM reason; DELETE FROM prepared", &e));
    assert_true(catalog_set_prepared(c, "cfg", &one, &e));
    assert_true(catalog_commit(c, &e));
    catalog_close(c);
    mem_free(p);
    outcome o = outcomes_of("cfg");
    assert_int_equal(o.prepared, 1);
    assert_int_equal(o.shard_row, 4);
    assert_int_equal(o.lossy, 1);
    assert_int_equal(outcomes_of("other").prepared, 0);
    assert_int_equal(outcomes_of(NULL).prepared, 0);
    assert_true(run("st", 2, NULL, (scan_opts){0}, &r, &e));
    assert_int_equal(outcomes_of("cfg").prepared, 1);
    save("arch/p1/lcc", exam_file("CANARY1", "1.9.1", "1.9.1.1", "CC", "R"));
    assert_true(run("st", 2, NULL, (scan_opts){0}, &r, &e));
    assert_int_equal(outcomes_of("cfg").prepared, 0);
    save("arch/p1/lcc", exam_file("CANARY1", "1.9.1", "1.9.1.1", "CC", "L"));
}

/* A picture is a row like another; the table says whose it is, and its name comes from its bytes,
 * not from where it lies. */
static void pictures(void **state)
{
    /* 1 x 1 grey, 8 bit; the second differs in its sample only */
    static const uint8_t head[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n', 0,    0,    0,
                                   13,   'I', 'H', 'D', 'R',  0,    0,    0,    1,    0,    0,
                                   0,    1,   8,   0,   0,    0,    0,    0x3A, 0x7E, 0x9B, 0x55};
    static const uint8_t one[] = {0,    0, 0, 10, 'I', 'D', 'A', 'T',  0x78, 0xDA, 0x63,
                                  0x60, 0, 0, 0,  2,   0,   1,   0xE5, 0x27, 0xDE, 0xFC};
    static const uint8_t tail[] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xAE, 0x42, 0x60, 0x82};
    static const char *const names[] = {"arch/pic/a.png", "arch/pic/deep/b.png"};
    err e;
    scan_result r;
    char *csv = at("pic.csv"), set[200];
    for (size_t i = 0; i < 2; i++) {
        bytes b = {0};
        put(&b, head, sizeof head);
        put(&b, one, sizeof one);
        put(&b, tail, sizeof tail);
        save(names[i], b);
    }
    snprintf(set, sizeof(set), "scan.sidecar=%s", csv);
    const char *table = "file,patient_id,laterality,view\npic/a.png,CANARY8,L,CC\n";
    assert_true(fs_write(csv, table, strlen(table), &e));
    assert_true(run("stp", 2, set, (scan_opts){0}, &r, &e));
    seen s = rows_of("stp");
    assert_string_equal(row(&s, "pic/a.png"), " CC L CANARY8 32 32");
    assert_string_equal(row(&s, "pic/deep/b.png"), "  -  0 32");
    char *export = export_of("stp"), name[2][33] = {{0}};
    int n = 0;
    for (char *line = strtok(export, "\n"); line; line = strtok(NULL, "\n"))
        if (strstr(line, ",PNG,") && n < 2) {
            char *exam = strchr(line, ','), *at_image = strchr(exam + 1, ',');
            memcpy(name[n++], at_image + 1, 32);
        }
    assert_int_equal(n, 2);
    assert_string_equal(name[0], name[1]);
    mem_free(export);
    mem_free(csv);
    for (size_t i = 0; i < 2; i++) {
        char *p = at(names[i]);
        assert_int_equal(unlink(p), 0);
        mem_free(p);
    }
}

/* A catalogue made before a column existed: whoever uses it is told to scan again, and scan fills
 * the column by reading every header again. */
static void old_catalogue(void **state)
{
    err e;
    scan_result r;
    char *p = at("st");
    catalog *c = catalog_open(p, true, &e);
    assert_non_null(c);
    assert_true(db_exec(catalog_db(c),
                        "ALTER TABLE file DROP COLUMN fov_rotation;"
                        "ALTER TABLE file DROP COLUMN quirks;"
                        "UPDATE note SET value = 'of old' WHERE key = 'rules'",
                        &e));
    catalog_close(c);
    for (int write = 0; write < 2; write++) {
        assert_null(catalog_open(p, write, &e));
        assert_int_equal(e.code, ERR_INPUT);
        assert_string_equal(e.msg,
                            "catalogue: an older version of this program made it, without the "
                            "column 'fov_rotation'; read the headers again with mammovit scan "
                            "ARCHIVE -o STORE");
    }
    assert_true(run("st", 2, NULL, (scan_opts){0}, &r, &e));
    assert_int_equal(r.unchanged, 0);
    c = catalog_open(p, false, &e);
    db_stmt *q = db_prepare(catalog_db(c),
                            "SELECT count(*) FROM file WHERE quirks LIKE '%meta_uid_differs%'", &e);
    assert_non_null(q);
    assert_int_equal(db_step(q, &e), 1);
    assert_true(db_i64(q, 0) >= 3);
    assert_int_equal(db_step(q, &e), 0);
    catalog_close(c);
    mem_free(p);
}

static void sidecar_is_applied(void **state)
{
    err e;
    scan_result r;
    bytes b = {0};
    image m = IMAGE(.ts = TS_EXPLICIT);
    char *csv = at("side.csv");
    char set[200];
    preamble(&b, TS_EXPLICIT);
    image_module(&b, m);
    native_pixels(&b, &m);
    save("arch/bare", b);
    snprintf(set, sizeof(set), "scan.sidecar=%s", csv);
    const char *text1 = "file,patient_id,laterality,view\nbare,CANARY9,L,CC\nbear,,R,\n";
    assert_true(fs_write(csv, text1, strlen(text1), &e));
    assert_true(run("st", 2, NULL, (scan_opts){0}, &r, &e));
    seen s = rows_of("st");
    assert_string_equal(row(&s, "bare"), "  -  0 32");
    /* a new sidecar reads everything again, the same one nothing */
    assert_int_equal(r.unmet, 0);
    assert_true(run("st", 2, set, (scan_opts){0}, &r, &e));
    assert_int_equal(r.unchanged, 0);
    assert_int_equal(r.unmet, 1);
    s = rows_of("st");
    assert_string_equal(row(&s, "bare"), " CC L CANARY9 32 32");
    assert_true(run("st", 2, set, (scan_opts){0}, &r, &e));
    assert_int_equal(r.unchanged, 7);
    assert_int_equal(r.unmet, 1); /* also of files that are not read again */
    const char *text2 = "file,view\np1/lcc,MLO\n";
    assert_true(fs_write(csv, text2, strlen(text2), &e));
    assert_false(run("st", 2, set, (scan_opts){0}, &r, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "side.csv line 2: view contradicts"));
    mem_free(csv);
}

static void shards(void **state)
{
    err e;
    scan_result r, sum = {0};
    char *key = at("st/key"), *dir = at("sh"), *copy = at("sh/key"), *data;
    size_t n;
    assert_true(fs_mkdirs(dir, &e));
    assert_true(fs_read(key, 100, &data, &n, &e));
    assert_true(fs_write(copy, data, n, &e));
    assert_int_equal(chmod(copy, 0600), 0);
    for (int k = 0; k < 3; k++) {
        if (k == 2) {
            assert_false(run("sh", 1, NULL, (scan_opts){.merge = true}, &r, &e));
            assert_non_null(strstr(e.msg, "only 2 of 3 shards"));
        }
        assert_true(run("sh", 1, NULL, (scan_opts){.shard_k = k, .shard_n = 3}, &r, &e));
        sum.seen += r.seen;
    }
    assert_int_equal(sum.seen, 8);
    assert_true(run("sh", 1, NULL, (scan_opts){.merge = true}, &r, &e));
    assert_int_equal(r.seen, 8);
    assert_int_equal(r.candidates, 4);
    assert_true(run("st", 3, NULL, (scan_opts){0}, &r, &e));
    char *a = export_of("st"), *b = export_of("sh");
    assert_string_equal(a, b);
    /* merging again changes nothing */
    assert_true(run("sh", 1, NULL, (scan_opts){.merge = true}, &r, &e));
    char *c = export_of("sh");
    assert_string_equal(b, c);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(data);
    mem_free(key);
    mem_free(dir);
    mem_free(copy);
}

/* A header that kills its reader, and one that never ends, cost a row each. */
static size_t header_or_death(const void *data, size_t len, const void *arg, size_t arg_len,
                              void *reply, size_t cap)
{
    if (len >= 5 && memcmp(data, "CRASH", 5) == 0)
        raise(SIGSEGV);
    for (volatile int forever = len >= 4 && memcmp(data, "LOOP", 4) == 0; forever;)
        ;
    return scan_header_task(data, len, arg, arg_len, reply, cap);
}

static void deadly_headers(void **state)
{
    err e;
    scan_result r;
    bytes crash = {0}, loop = {0};
    put(&crash, "CRASH it now", 12);
    put(&loop, "LOOP for ever", 13);
    save("arch/x-crash", crash);
    save("arch/x-loop", loop);
    assert_true(run("st-dead", 2, "scan.seconds=0.5", (scan_opts){0}, &r, &e));
    seen s = rows_of("st-dead");
    assert_int_equal(strncmp(row(&s, "x-crash"), "DECODER_CRASH ", 14), 0);
    assert_int_equal(strncmp(row(&s, "x-loop"), "DECODER_LIMIT ", 14), 0);
    assert_string_equal(row(&s, "p2/rcc"), " CC R CANARY2 32 32");
}

static const char *deadly_kind(int i)
{
    return i % 23 == 5 ? "CRASH" : i == 40 ? "LOOP" : NULL;
}

/* More files than one message to a worker holds, deadly ones among them: each costs itself only. */
static void deadly_in_batches(void **state)
{
    enum { N = 3 * 32 + 7 };
    err e;
    scan_result r;
    char name[32], sop[32];
    for (int i = 0; i < N; i++) {
        const char *kind = deadly_kind(i);
        bytes b = {0};
        snprintf(name, sizeof(name), "many/%03d", i);
        snprintf(sop, sizeof(sop), "1.8.%d", i);
        if (kind)
            put(&b, kind, strlen(kind));
        else
            b = exam_file("CANARY8", "1.8", sop, "CC", "L");
        save(name, b);
    }
    for (int threads = 1; threads <= 2; threads++) {
        char *store = at(threads == 1 ? "st-many1" : "st-many2"), *archive = at("many");
        const char *list[] = {archive};
        cfg *c = cfg_new(groups, 1);
        assert_true(cfg_set(c, "scan.seconds=0.5", &e));
        scan_opts o = {.archive = list,
                       .n_archives = 1,
                       .store = store,
                       .config = c,
                       .threads = threads,
                       .shard_n = 1};
        memset(&e, 0, sizeof(e));
        assert_true(scan_run(&o, &r, &e));
        assert_int_equal(r.seen, N);
        assert_int_equal(r.failed, 6);
        catalog *cat = catalog_open(store, false, &e);
        assert_non_null(cat);
        db_stmt *q = db_prepare(catalog_db(cat),
                                "SELECT path, scan_reason, sop_uid FROM file ORDER BY path", &e);
        for (int i = 0; i < N; i++) {
            const char *kind = deadly_kind(i);
            snprintf(name, sizeof(name), "%03d", i);
            snprintf(sop, sizeof(sop), "1.8.%d", i);
            assert_int_equal(db_step(q, &e), 1);
            assert_string_equal(db_text(q, 0), name);
            assert_string_equal(db_text(q, 1), !kind            ? ""
                                               : kind[0] == 'C' ? "DECODER_CRASH"
                                                                : "DECODER_LIMIT");
            assert_string_equal(db_text(q, 2), kind ? "" : sop);
        }
        assert_int_equal(db_step(q, &e), 0);
        catalog_close(cat);
        cfg_free(c);
        mem_free(store);
        mem_free(archive);
    }
}

/* Overwrite a file in place and give it its old time, so that only a reader would notice. */
static void swap_quietly(const char *name, bytes b)
{
    struct stat st;
    char *p = at(name);
    assert_int_equal(stat(p, &st), 0);
    assert_int_equal(st.st_size, (off_t)b.n);
    FILE *f = fopen(p, "r+");
    assert_non_null(f);
    assert_int_equal(fwrite(b.p, 1, b.n, f), b.n);
    fclose(f);
    struct timespec t[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, p, t, 0), 0);
    mem_free(p);
    free(b.p);
}

static int64_t changes_of(const char *store, const char *sql)
{
    err e = {0};
    char *p = at(store);
    catalog *c = catalog_open(p, false, &e);
    assert_non_null(c);
    db_stmt *q = db_prepare(catalog_db(c), sql, &e);
    assert_int_equal(db_step(q, &e), 1);
    int64_t n = db_i64(q, 0);
    catalog_close(c);
    mem_free(p);
    return n;
}

/* Known files are neither opened nor written down again; a new, a changed and a missing one are
 * the only rows that a second scan touches. */
static void only_what_is_new(void **state)
{
    err e;
    scan_result r;
    char *gone = at("arch/p3/cut"), *aside = at("aside");
    assert_true(run("st-inc", 2, NULL, (scan_opts){0}, &r, &e));
    int64_t seen_first = r.seen;
    swap_quietly("arch/p1/lcc", exam_file("CANARY1", "1.9.1", "1.9.1.7", "CC", "L"));
    save("arch/p1/lmlo", exam_file("CANARY1", "1.9.1", "1.9.1.8", "ML", "L"));
    save("arch/p5/new", exam_file("CANARY5", "1.9.5", "1.9.5.1", "CC", "R"));
    assert_int_equal(rename(gone, aside), 0);
    assert_true(run("st-inc", 2, NULL, (scan_opts){0}, &r, &e));
    assert_int_equal(r.seen, seen_first);
    /* the link cannot be opened and is tried each time */
    assert_int_equal(r.unchanged, seen_first - 3);
    assert_int_equal(changes_of("st-inc", "SELECT count(*) FROM file WHERE run = 2"), 3);
    assert_int_equal(changes_of("st-inc", "SELECT count(*) FROM file WHERE gone = 1"), 1);
    assert_int_equal(
        changes_of("st-inc", "SELECT count(*) FROM file WHERE gone = 1 AND path = 'p3/cut'"), 1);
    assert_int_equal(changes_of("st-inc", "SELECT count(*) FROM file WHERE sop_uid = '1.9.1.1'"),
                     1); /* not read: the quiet swap was not noticed */
    assert_int_equal(changes_of("st-inc", "SELECT count(*) FROM file WHERE sop_uid = '1.9.1.8'"),
                     1);
    /* a third scan has nothing to read: the file that went comes back under its old row */
    assert_int_equal(rename(aside, gone), 0);
    assert_true(run("st-inc", 2, NULL, (scan_opts){0}, &r, &e));
    assert_int_equal(r.seen, seen_first + 1);
    assert_int_equal(r.unchanged, r.seen - 1);
    assert_int_equal(changes_of("st-inc", "SELECT count(*) FROM file WHERE gone = 1"), 0);
    mem_free(gone);
    mem_free(aside);
}

/* A scan that was killed leaves rows without the index that orders them. */
static void order_without_index(void **state)
{
    err e = {0};
    char *p = at("st-inc"), *with = export_of("st-inc");
    catalog *c = catalog_open(p, true, &e);
    assert_non_null(c);
    assert_true(db_exec(catalog_db(c), "DROP INDEX file_order", &e));
    catalog_close(c);
    char *without = export_of("st-inc");
    assert_string_equal(with, without);
    mem_free(with);
    mem_free(without);
    mem_free(p);
}

static void empty_archive(void **state)
{
    err e = {0};
    scan_result r;
    char *store = at("st-empty"), *archive = at("nothing");
    const char *list[] = {archive};
    cfg *c = cfg_new(groups, 1);
    scan_opts o = {
        .archive = list, .n_archives = 1, .store = store, .config = c, .shard_n = 1, .threads = 1};
    assert_true(fs_mkdirs(archive, &e));
    assert_false(scan_run(&o, &r, &e));
    assert_non_null(strstr(e.msg, "no file lies there"));
    assert_false(fs_exists(store));
    /* a store that was there before stays, whatever happens */
    assert_true(fs_mkdirs(store, &e));
    memset(&e, 0, sizeof(e));
    assert_false(scan_run(&o, &r, &e));
    assert_true(fs_exists(store));
    cfg_free(c);
    mem_free(store);
    mem_free(archive);
}

static void errors(void **state)
{
    err e = {0};
    scan_result r;
    char *store = at("st-none"), *missing = at("CANARY-folder");
    const char *list[] = {missing};
    cfg *c = cfg_new(groups, 1);
    scan_opts o = {
        .archive = list, .n_archives = 1, .store = store, .config = c, .shard_n = 1, .threads = 1};
    assert_false(scan_run(&o, &r, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_null(strstr(e.msg, "CANARY"));
    assert_null(catalog_open(base, false, &e));
    assert_non_null(strstr(e.msg, "mammovit scan"));
    cfg_free(c);
    mem_free(store);
    mem_free(missing);
}

static int setup(void **state)
{
    memcpy(base, "/tmp/mammovit-scan-XXXXXX", 26);
    if (!mkdtemp(base))
        return -1;
    make_archive();
    return 0;
}
static int teardown(void **state)
{
    err e = {0};
    return fs_remove_tree(base, &e) ? 0 : -1;
}

int main(void)
{
    static const worker_task tasks[] = {{"scan", header_or_death, pixels_init}};
    err e = {0};
    log_set_level(LOG_ERROR);
    if (!worker_start(tasks, 1, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes),
        cmocka_unit_test(same_bytes_for_any_threads),
        cmocka_unit_test(resumes),
        cmocka_unit_test(prepared_rows),
        cmocka_unit_test(pictures),
        cmocka_unit_test(old_catalogue),
        cmocka_unit_test(sidecar_is_applied),
        cmocka_unit_test(shards),
        cmocka_unit_test(only_what_is_new),
        cmocka_unit_test(order_without_index),
        cmocka_unit_test(deadly_headers),
        cmocka_unit_test(deadly_in_batches),
        cmocka_unit_test(empty_archive),
        cmocka_unit_test(errors),
    };
    int failed = cmocka_run_group_tests(tests, setup, teardown);
    worker_stop();
    return failed;
}
