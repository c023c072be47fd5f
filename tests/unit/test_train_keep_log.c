/* The log of kept patches: what was added comes back; a log that does not fit, or is damaged, is
 * refused with the place. */
#include "tests/unit/store.h"

#include "train/keep_log.h"
#include "train/safetensors.h"

static char dir[64];
/* Epoch 3 of a network of 9 patches: batches of 2, 2 and 1 images keeping 4, all and 2. */
static const int64_t rows[5] = {7, 3, 11, 0, 5};
static const int32_t keep_a[8] = {0, 2, 5, 8, 1, 2, 3, 4}, keep_c[2] = {6, 7};
static const keep_log_want want = {.epoch = 3, .row = rows, .n_rows = 5, .batch = 2, .patches = 9};

static void fill(keep_log *l, int n)
{
    keep_log_init(l, 3, 9);
    if (n > 0)
        keep_log_add(l, 2, rows, keep_a, 4);
    if (n > 1)
        keep_log_add(l, 2, rows + 2, NULL, 0);
    if (n > 2)
        keep_log_add(l, 1, rows + 4, keep_c, 2);
}

static void is_whole(const keep_log *l)
{
    assert_int_equal(l->epoch, 3);
    assert_int_equal(l->patches, 9);
    assert_int_equal(l->n, 3);
    assert_memory_equal(l->images, ((const int[]){2, 2, 1}), 3 * sizeof(int));
    assert_memory_equal(l->kept, ((const int[]){4, 9, 2}), 3 * sizeof(int));
    assert_memory_equal(l->at, ((const int64_t[]){0, 8, 8}), 3 * sizeof(int64_t));
    assert_int_equal(l->n_rows, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(l->row[i], rows[i]);
    assert_int_equal(l->n_index, 10);
    assert_memory_equal(l->index, keep_a, sizeof keep_a);
    assert_memory_equal(l->index + 8, keep_c, sizeof keep_c);
}

static void what_was_added_comes_back(void **state)
{
    keep_log l, back;
    char *file = fs_join(dir, "kept-epoch-000003.safetensors");
    fill(&l, 3);
    OK(keep_log_write(&l, dir, e));
    OK(keep_log_read(&back, file, e));
    is_whole(&back);
    keep_log_release(&back);
    OK(keep_log_replay(&back, dir, &want, e));
    is_whole(&back);
    keep_log_release(&back);
    OK(keep_log_replay(&back, file, &want, e));
    is_whole(&back);
    keep_log_release(&back);
    keep_log_release(&l);
    mem_free(file);
}

/* A log that knows more than the checkpoint is cut; what is added again makes the same log. */
static void a_log_is_gone_on_with(void **state)
{
    keep_log l;
    fill(&l, 3);
    OK(keep_log_write(&l, dir, e));
    keep_log_release(&l);
    for (int done = 0; done < 3; done++) {
        OK(keep_log_resume(&l, dir, &want, done, e));
        assert_int_equal(l.n, done);
        if (done < 1)
            keep_log_add(&l, 2, rows, keep_a, 4);
        if (done < 2)
            keep_log_add(&l, 2, rows + 2, NULL, 0);
        keep_log_add(&l, 1, rows + 4, keep_c, 2);
        is_whole(&l);
        keep_log_release(&l);
    }
    fill(&l, 1);
    OK(keep_log_write(&l, dir, e));
    keep_log_release(&l);
    err e = {0};
    assert_false(keep_log_resume(&l, dir, &want, 2, &e));
    assert_non_null(strstr(e.msg, "holds 1 micro-batches of epoch 3, the checkpoint stands behind "
                                  "2 of epoch 3"));
    keep_log_release(&l);
    fill(&l, 3); /* many batches: the arrays grow */
    for (int i = 0; i < 1000; i++)
        keep_log_add(&l, 2, rows, keep_a, 4);
    assert_int_equal(l.n, 1003);
    assert_int_equal(l.at[1002], 10 + 999 * 8);
    assert_memory_equal(l.index + l.at[1002], keep_a, sizeof keep_a);
    keep_log_cut(&l, 3);
    is_whole(&l);
    keep_log_release(&l);
}

static void refuse(const keep_log_want *w, const char *words)
{
    keep_log l;
    err e = {0};
    if (keep_log_replay(&l, dir, w, &e))
        fail_msg("replayed; wanted '%s'", words);
    if (!strstr(e.msg, words))
        fail_msg("message '%s' lacks '%s'", e.msg, words);
    assert_int_equal(e.code, ERR_INPUT);
    keep_log_release(&l);
}

static void another_epoch_is_refused(void **state)
{
    keep_log l;
    keep_log_want w = want;
    int64_t other[5] = {7, 3, 11, 1, 5};
    fill(&l, 3);
    OK(keep_log_write(&l, dir, e));
    keep_log_release(&l);
    w.patches = 16;
    refuse(&w, "of 9 patches, the network has 16");
    w = want;
    w.batch = 3;
    refuse(&w, "written with micro-batches of 2 images, train.batch makes them of 3");
    w = want;
    w.n_rows = 6;
    refuse(&w, "micro-batch 2 has 1 images, the epoch has 2");
    w.n_rows = 4;
    refuse(&w, "3 micro-batches, the epoch has 2");
    w = want;
    w.row = other;
    refuse(&w, "image 1 of micro-batch 1 is row 0 of the cohort, the epoch takes row 1");
}

/* A file as another program would write it. */
typedef struct foreign {
    const char *format, *epoch, *patches;
    float images[3], kept[3], row[5], index[10];
    int n_kept;
} foreign;
static const foreign good = {.format = "mammovit.kept/1",
                             .epoch = "3",
                             .patches = "9",
                             .images = {2, 2, 1},
                             .kept = {4, 9, 2},
                             .row = {7, 3, 11, 0, 5},
                             .index = {0, 2, 5, 8, 1, 2, 3, 4, 6, 7},
                             .n_kept = 3};

static void judge(const foreign *f, const char *words)
{
    char *path = fs_join(dir, "foreign.safetensors");
    json_t *meta =
        json_pack("{s:s, s:s, s:s}", "format", f->format, "epoch", f->epoch, "patches", f->patches);
    safetensors_writer *w = safetensors_writer_new(path, meta);
    keep_log l;
    err e = {0};
    int64_t n[] = {3, f->n_kept, 5, 10};
    safetensors_writer_add(w, "images", 1, &n[0], f->images);
    safetensors_writer_add(w, "kept", 1, &n[1], f->kept);
    safetensors_writer_add(w, "row", 1, &n[2], f->row);
    safetensors_writer_add(w, "index", 1, &n[3], f->index);
    OK(safetensors_writer_finish(w, e));
    bool ok = keep_log_read(&l, path, &e);
    if (ok != !words || (words && !strstr(e.msg, words)))
        fail_msg("'%s', wanted '%s'", ok ? "read" : e.msg, words ? words : "read");
    if (ok)
        is_whole(&l);
    else
        assert_int_equal(e.code, ERR_INPUT);
    keep_log_release(&l);
    json_decref(meta);
    mem_free(path);
}

static void damaged_logs_are_refused(void **state)
{
    foreign f = good;
    judge(&f, NULL);
    f.format = "mammovit.kept/2";
    judge(&f, "'format' is not mammovit.kept/1");
    f = good;
    f.patches = "0";
    judge(&f, "'epoch' or 'patches' is no whole number");
    f = good;
    f.epoch = "x";
    judge(&f, "'epoch' or 'patches' is no whole number");
    f = good;
    f.n_kept = 2;
    judge(&f, "the array 'kept' is missing or has another length");
    f = good;
    f.images[0] = 3;
    judge(&f, "6 rows and 14 indices are wanted, the file has 5 and 10");
    f = good;
    f.images[1] = 0;
    judge(&f, "number 1 of 'images' is 0");
    f = good;
    f.kept[2] = 1.5f;
    judge(&f, "number 2 of 'kept' is 1.5");
    f = good;
    f.kept[1] = 10;
    judge(&f, "micro-batch 1 keeps 10 of 9 patches");
    f = good;
    f.row[4] = -1;
    judge(&f, "number 4 of 'row' is -1");
    f = good;
    f.row[4] = 1e30f;
    judge(&f, "number 4 of 'row' is 1e+30");
    f = good;
    f.index[3] = 9;
    judge(&f, "micro-batch 0: patch 9 does not ascend or is not below 9");
    f = good;
    f.index[2] = 2;
    judge(&f, "micro-batch 0: patch 2 does not ascend");
    f = good;
    f.index[9] = 6;
    judge(&f, "micro-batch 2: patch 6 does not ascend");
    char *path = fs_join(dir, "none.safetensors");
    keep_log l;
    err e = {0};
    assert_false(keep_log_read(&l, path, &e));
    keep_log_release(&l);
    mem_free(path);
}

static int setup(void **state)
{
    return store_tmp("keep_log", dir) ? 0 : -1;
}

static int teardown(void **state)
{
    err e = {0};
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_comes_back),
        cmocka_unit_test(a_log_is_gone_on_with),
        cmocka_unit_test(another_epoch_is_refused),
        cmocka_unit_test(damaged_logs_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
