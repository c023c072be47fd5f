/* export of a synthetic store and of its cohort: every picture holds the values of its shard row,
 * the table names each once, what lies there is not written again, another export or a shard that
 * holds another image is refused, no identifier leaves. */
#include "tests/unit/store.h"

#include "dicom/pixels.h"
#include "preprocess/export.h"

static char dir[64];
static const shot shots[] = {
    {.patient = "CANARY-A", .sop = "1.1", .view = "CC"},
    {.patient = "CANARY-A", .sop = "1.2", .view = "MLO"},
    {.patient = "CANARY-A", .sop = "1.3", .side = 'R'},
    {.patient = "CANARY-B", .sop = "1.4", .primary = REASON_IMPLANT},
    {.patient = "CANARY-B", .sop = "1.5"},
    {.patient = "CANARY-B", .sop = "1.5", .path = "a/again.dcm", .pixels = 100004},
    {.patient = "CANARY-C", .sop = "1.6"},
};
enum { KEPT = 5 };

typedef struct place {
    cfg *c;
    char *store, *out;
} place;

static place set_up(const char *out)
{
    place p = {store_config(), fs_join(dir, "store"), fs_join(dir, out)};
    store_write(p.store, p.c, shots, COUNT_OF(shots));
    return p;
}

static void put_away(place *p)
{
    cfg_free(p->c);
    mem_free(p->store);
    mem_free(p->out);
}

static export_opts options(const place *p)
{
    return (export_opts){.from = p->store,
                         .is_store = true,
                         .out = p->out,
                         .config = p->c,
                         .fold = -1,
                         .threads = 2};
}

/* The picture of an image against the pixels that store_append gave it. */
static void expect_picture(const place *p, const char *sop, int picture, int h, int w,
                           const char *suffix)
{
    char image[33], name[64], *data;
    size_t n;
    uint16_t want[32 * 32];
    record r;
    pixels px;
    shard_meta m = {.breast_pixels = 0};
    arena *a = arena_new(1 << 16);
    store_image(p->store, sop, image);
    snprintf(name, sizeof name, "%s.%s", image, suffix);
    char *path = fs_join(p->out, name);
    OK(fs_read(path, 1 << 20, &data, &n, e));
    assert_int_equal(record_read(data, n, &r), REASON_NONE);
    assert_int_equal(pixels_decode(data, n, &r, false, a, &px), REASON_NONE);
    store_pixels(picture, h, w, want, &m);
    assert_int_equal(px.rows, h);
    assert_int_equal(px.cols, w);
    assert_memory_equal(px.stored, want, (size_t)h * (size_t)w * 2);
    assert_non_null(memmem(data, n, image, 32)); /* the description */
    assert_null(memmem(data, n, "CANARY", 6));
    arena_free(a);
    mem_free(data);
    mem_free(path);
}

static int table_rows(const place *p, const char *column)
{
    char *path = fs_join(p->out, "images.csv");
    csv_reader *r;
    int n = 0, file, other;
    OK((r = csv_open(path, e)));
    OK(csv_require(r, "file", &file, e));
    OK(csv_require(r, column, &other, e));
    while (csv_next(r, NULL) == 1) {
        char *picture = fs_join(p->out, csv_field(r, file));
        assert_true(fs_exists(picture));
        mem_free(picture);
        n++;
    }
    csv_close(r);
    mem_free(path);
    return n;
}

static void test_store(void **state)
{
    (void)state;
    place p = set_up("tiff");
    export_opts o = options(&p);
    export_result r;
    char image[33], name[64];
    OK(export_run(&o, &r, e));
    assert_int_equal(r.images, KEPT);
    assert_int_equal(r.written, KEPT);
    assert_int_equal(r.repeated, 1);
    assert_true(r.h == 16 && r.w == 16);
    assert_int_equal(table_rows(&p, "image_id"), KEPT);
    expect_picture(&p, "1.1", 100000, 16, 16, "tiff");
    expect_picture(&p, "1.3", 100002, 16, 16, "tiff");
    expect_picture(&p, "1.6", 100006, 16, 16, "tiff");
    store_image(p.store, "1.4", image);
    snprintf(name, sizeof name, "%s.tiff", image);
    char *path = fs_join(p.out, name);
    assert_false(fs_exists(path)); /* left out */
    mem_free(path);
    /* only what is missing is made again */
    store_image(p.store, "1.3", image);
    snprintf(name, sizeof name, "%s.tiff", image);
    path = fs_join(p.out, name);
    assert_int_equal(unlink(path), 0);
    OK(export_run(&o, &r, e));
    assert_int_equal(r.written, 1);
    assert_int_equal(r.images, KEPT);
    expect_picture(&p, "1.3", 100002, 16, 16, "tiff");
    mem_free(path);
    /* another canvas does not mix in */
    err e = {0};
    o.h = 32;
    o.w = 16;
    assert_false(export_run(&o, &r, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "holds another export"));
    o.force = true;
    o.format = RASTER_OUT_PNG;
    OK(export_run(&o, &r, e));
    assert_int_equal(r.written, KEPT);
    expect_picture(&p, "1.2", 100001, 32, 16, "png");
    o.h = 64;
    assert_false(export_run(&o, &r, &e));
    assert_non_null(strstr(e.msg, "no canvas of 64x16"));
    o = options(&p);
    OK(cfg_set(p.c, "prepare.margin=0.3", e));
    assert_false(export_run(&o, &r, &e));
    assert_non_null(strstr(e.msg, "no image under prepare id"));
    put_away(&p);
}

static void test_cohort(void **state)
{
    (void)state;
    place p = set_up("cohort");
    char *labels = fs_join(dir, "labels.csv"), *file = fs_join(dir, "COHORT.h5");
    const char *csv = "patient_id,diagnosis_date,last_negative_date,prior_cancer_date,"
                      "cancer_laterality\n"
                      "CANARY-A,2015-12-01,,,L\nCANARY-B,,2020-01-01,,\nCANARY-C,,2020-01-01,,\n";
    OK(fs_write(labels, csv, strlen(csv), e));
    OK(cfg_set(p.c, "split.test_fraction=0.5", e));
    OK(cfg_set(p.c, "split.val_fraction=0", e));
    split_opts so = {
        .store = p.store, .labels_csv = labels, .out = file, .config = p.c, .threads = 1};
    split_result sr;
    cohort c;
    export_opts o = options(&p);
    export_result r;
    int64_t test = 0;
    cohort_init(&c);
    OK(split_run(&so, &sr, e));
    OK(cohort_read(&c, file, e));
    for (int64_t i = 0; i < c.n; i++)
        test += c.row[i].fold == COHORT_TEST;
    assert_true(test > 0 && test < c.n);
    o.from = file;
    o.is_store = false;
    o.fold = COHORT_TEST;
    OK(export_run(&o, &r, e));
    assert_int_equal(r.images, test);
    assert_int_equal(table_rows(&p, "days_to_cancer"), test);
    o.fold = -1;
    o.force = true;
    o.h = 32;
    o.w = 16;
    OK(export_run(&o, &r, e));
    assert_int_equal(r.images, c.n);
    assert_int_equal(table_rows(&p, "y_h0"), c.n);
    expect_picture(&p, "1.1", 100000, 32, 16, "tiff");
    cohort_release(&c);
    mem_free(labels);
    mem_free(file);
    put_away(&p);
}

/* A shard in the place of another: no picture under the wrong name. */
static void test_swapped(void **state)
{
    (void)state;
    place p = set_up("swapped");
    export_opts o = options(&p);
    export_result r;
    char id[17], sum[65];
    uint16_t v[16 * 16] = {0};
    size_t len;
    err e = {0};
    prepare_id(p.c, id);
    char *path = prepare_shard_path(p.store, id, 16, 16, 0);
    shard_writer *w;
    shard_meta m = {.side = 'L', .view = 'C'};
    memset(m.image, 'a', 32);
    memset(m.exam, 'b', 32);
    memset(m.patient, 'c', 32);
    memset(m.pixel_hash, 'd', 32);
    void *chunk = shard_compress(v, 16, 16, &len);
    OK((w = shard_create(path, 16, 16, e)));
    for (int i = 0; i < 6; i++)
        OK(shard_append(w, chunk, len, &m, e));
    OK(shard_commit(w, "{}", sum, e));
    assert_false(export_run(&o, &r, &e));
    assert_int_equal(e.code, ERR_MISMATCH);
    assert_non_null(strstr(e.msg, "holds another image"));
    mem_free(chunk);
    mem_free(path);
    put_away(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_store), cmocka_unit_test(test_cohort),
                                       cmocka_unit_test(test_swapped)};
    err e = {0};
    log_set_level(LOG_ERROR);
    if (!store_tmp("export", dir))
        return 1;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    return fs_remove_tree(dir, &e) ? rc : 1;
}
