/* The log of kept patches (keep_log.h): four arrays of whole numbers in a safetensors file. They
 * are stored as f32, which holds them exactly (rows and patches lie below 2^24). */
#include "train/keep_log.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/fs.h"
#include "core/mem.h"
#include "train/safetensors.h"

#define FORMAT    "mammovit.kept/1"
#define WHOLE_MAX KEEP_LOG_ROWS /* f32 holds every whole number up to here */

void keep_log_init(keep_log *l, int64_t epoch, int patches)
{
    memset(l, 0, sizeof *l);
    l->epoch = epoch;
    l->patches = patches;
}

void keep_log_release(keep_log *l)
{
    mem_free(l->images);
    mem_free(l->kept);
    mem_free(l->at);
    mem_free(l->row);
    mem_free(l->index);
    memset(l, 0, sizeof *l);
}

/* Room for `more` elements behind `have`. */
static void *grow(void *x, int64_t have, int64_t more, int64_t *cap, size_t each)
{
    int64_t want = *cap ? *cap : 64;
    if (have + more <= *cap)
        return x;
    while (want < have + more)
        want *= 2;
    x = mem_realloc(x, (size_t)*cap * each, (size_t)want * each);
    *cap = want;
    return x;
}

void keep_log_add(keep_log *l, int b, const int64_t *row, const int32_t *keep, int n_keep)
{
    int64_t n = keep ? (int64_t)b * n_keep : 0, cap[2] = {l->cap[0], l->cap[0]};
    l->images = grow(l->images, l->n, 1, &cap[0], sizeof *l->images);
    l->kept = grow(l->kept, l->n, 1, &cap[1], sizeof *l->kept);
    l->at = grow(l->at, l->n, 1, &l->cap[0], sizeof *l->at);
    l->row = grow(l->row, l->n_rows, b, &l->cap[1], sizeof *l->row);
    l->index = grow(l->index, l->n_index, n, &l->cap[2], sizeof *l->index);
    l->images[l->n] = b;
    l->at[l->n] = l->n_index;
    l->kept[l->n++] = keep ? n_keep : l->patches;
    for (int i = 0; i < b; i++) {
        if (row[i] >= WHOLE_MAX)
            BUG("keep_log: row %" PRId64, row[i]);
        l->row[l->n_rows++] = (int32_t)row[i];
    }
    if (n)
        memcpy(l->index + l->n_index, keep, (size_t)n * sizeof *keep);
    l->n_index += n;
}

/* Numbers that micro-batch i has in index. */
static int64_t indices(const keep_log *l, int i)
{
    return l->kept[i] == l->patches ? 0 : (int64_t)l->images[i] * l->kept[i];
}

void keep_log_cut(keep_log *l, int n)
{
    while (l->n > n) {
        l->n--;
        l->n_rows -= l->images[l->n];
        l->n_index -= indices(l, l->n);
    }
}

static char *path_of(const char *dir, int64_t epoch)
{
    char name[64];
    snprintf(name, sizeof name, "kept-epoch-%06" PRId64 ".safetensors", epoch);
    return fs_join(dir, name);
}

/* ---- writing --------------------------------------------------------------------------------- */

static float *as_floats(const int32_t *x, int64_t n)
{
    float *out = MEM_ARRAY(float, n ? n : 1);
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)x[i];
    return out;
}

bool keep_log_write(const keep_log *l, const char *dir, err *e)
{
    char epoch[32], patches[32], *path = path_of(dir, l->epoch);
    int64_t n = l->n;
    snprintf(epoch, sizeof epoch, "%" PRId64, l->epoch);
    snprintf(patches, sizeof patches, "%d", l->patches);
    json_t *meta =
        json_pack("{s:s, s:s, s:s}", "format", FORMAT, "epoch", epoch, "patches", patches);
    float *x[] = {as_floats(l->images, n), as_floats(l->kept, n), as_floats(l->row, l->n_rows),
                  as_floats(l->index, l->n_index)};
    safetensors_writer *w = safetensors_writer_new(path, meta);
    safetensors_writer_add(w, "images", 1, &n, x[0]);
    safetensors_writer_add(w, "kept", 1, &n, x[1]);
    safetensors_writer_add(w, "row", 1, &l->n_rows, x[2]);
    safetensors_writer_add(w, "index", 1, &l->n_index, x[3]);
    bool ok = safetensors_writer_finish(w, e);
    for (size_t i = 0; i < COUNT_OF(x); i++)
        mem_free(x[i]);
    json_decref(meta);
    mem_free(path);
    return ok;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A flat array of whole numbers min..max; n: how many are wanted, -1 = any. */
static int32_t *whole(const safetensors *f, const char *name, int64_t n, int min, int64_t *got,
                      err *e)
{
    const array_info *a = safetensors_get(f, name);
    if (!a || a->ndim != 1 || (n >= 0 && a->n != n)) {
        err_set(e, ERR_INPUT, "the array '%s' is missing or has another length", name);
        return NULL;
    }
    float *x = MEM_ARRAY(float, a->n ? a->n : 1);
    int32_t *out = MEM_ARRAY(int32_t, a->n ? a->n : 1);
    bool ok = safetensors_read(f, a, x, e);
    for (int64_t i = 0; ok && i < a->n; i++) {
        ok = x[i] >= (float)min && x[i] <= (float)WHOLE_MAX && x[i] == floorf(x[i]);
        if (ok)
            out[i] = (int32_t)x[i];
        else
            err_set(e, ERR_INPUT, "number %" PRId64 " of '%s' is %g", i, name, (double)x[i]);
    }
    *got = a->n;
    mem_free(x);
    if (ok)
        return out;
    mem_free(out);
    return NULL;
}

/* The sums that tie the arrays together; every image's indices ascend below N. */
static bool consistent(keep_log *l, err *e)
{
    int64_t rows = 0, n = 0, at = 0;
    l->at = MEM_ARRAY(int64_t, l->n ? l->n : 1);
    for (int i = 0; i < l->n; i++) {
        l->at[i] = n;
        if (l->kept[i] > l->patches)
            return err_set(e, ERR_INPUT, "micro-batch %d keeps %d of %d patches", i, l->kept[i],
                           l->patches);
        rows += l->images[i];
        n += indices(l, i);
    }
    if (rows != l->n_rows || n != l->n_index)
        return err_set(e, ERR_INPUT,
                       "%" PRId64 " rows and %" PRId64 " indices are wanted, the file has %" PRId64
                       " and %" PRId64,
                       rows, n, l->n_rows, l->n_index);
    for (int i = 0; i < l->n; i++)
        for (int64_t k = 0; k < indices(l, i); k++, at++) {
            bool first = k % l->kept[i] == 0;
            if (l->index[at] >= l->patches || (!first && l->index[at] <= l->index[at - 1]))
                return err_set(e, ERR_INPUT,
                               "micro-batch %d: patch %d does not ascend or is not below %d", i,
                               l->index[at], l->patches);
        }
    return true;
}

static bool read_all(keep_log *l, const safetensors *f, err *e)
{
    const char *format = safetensors_meta(f, "format"), *epoch = safetensors_meta(f, "epoch"),
               *patches = safetensors_meta(f, "patches");
    int64_t n, kept_n, k;
    if (!format || strcmp(format, FORMAT))
        return err_set(e, ERR_INPUT, "the metadata 'format' is not %s", FORMAT);
    if (!epoch || !text_i64(epoch, &l->epoch) || !patches || !text_i64(patches, &k) || k < 1 ||
        k > WHOLE_MAX)
        return err_set(e, ERR_INPUT, "the metadata 'epoch' or 'patches' is no whole number");
    l->patches = (int)k;
    l->images = whole(f, "images", -1, 1, &n, e);
    l->kept = l->images ? whole(f, "kept", n, 1, &kept_n, e) : NULL;
    l->row = l->kept ? whole(f, "row", -1, 0, &l->n_rows, e) : NULL;
    l->index = l->row ? whole(f, "index", -1, 0, &l->n_index, e) : NULL;
    if (!l->index)
        return false;
    if (n > WHOLE_MAX)
        return err_set(e, ERR_INPUT, "%" PRId64 " micro-batches", n);
    l->n = (int)n;
    l->cap[0] = l->n;
    l->cap[1] = l->n_rows;
    l->cap[2] = l->n_index;
    return consistent(l, e);
}

bool keep_log_read(keep_log *l, const char *path, err *e)
{
    memset(l, 0, sizeof *l);
    safetensors *f = safetensors_open(path, e);
    bool ok = f && (read_all(l, f, e) || err_wrap(e, "kept patches '%s'", path));
    safetensors_close(f);
    return ok;
}

/* partly: the last micro-batches may be missing. */
static bool fits(const keep_log *l, const keep_log_want *w, bool partly, err *e)
{
    int64_t at = 0, batches = (w->n_rows + w->batch - 1) / w->batch;
    if (l->patches != w->patches)
        return err_set(e, ERR_INPUT, "of %d patches, the network has %d", l->patches, w->patches);
    int first = w->n_rows < w->batch ? (int)w->n_rows : w->batch;
    if (l->n && l->images[0] != first)
        return err_set(e, ERR_INPUT,
                       "written with micro-batches of %d images, train.batch makes them of %d",
                       l->images[0], first);
    if (partly ? l->n > batches : l->n != batches)
        return err_set(e, ERR_INPUT, "%d micro-batches, the epoch has %" PRId64, l->n, batches);
    for (int i = 0; i < l->n; i++) {
        int64_t want = w->n_rows - at < w->batch ? w->n_rows - at : w->batch;
        if (l->images[i] != want)
            return err_set(e, ERR_INPUT, "micro-batch %d has %d images, the epoch has %" PRId64, i,
                           l->images[i], want);
        for (int k = 0; k < l->images[i]; k++, at++)
            if (l->row[at] != w->row[at])
                return err_set(e, ERR_INPUT,
                               "image %d of micro-batch %d is row %d of the cohort, "
                               "the epoch takes row %" PRId64,
                               k, i, l->row[at], w->row[at]);
    }
    return true;
}

bool keep_log_resume(keep_log *l, const char *dir, const keep_log_want *w, int64_t done, err *e)
{
    char *path = path_of(dir, w->epoch);
    bool ok = true;
    keep_log_init(l, w->epoch, w->patches);
    if (done)
        ok = keep_log_read(l, path, e) && (fits(l, w, true, e) || err_wrap(e, "'%s'", path));
    if (ok && (l->n < done || l->epoch != w->epoch))
        ok = err_set(e, ERR_INPUT,
                     "'%s' holds %d micro-batches of epoch %" PRId64
                     ", the checkpoint stands behind %" PRId64 " of epoch %" PRId64,
                     path, l->n, l->epoch, done, w->epoch);
    if (ok)
        keep_log_cut(l, (int)done);
    mem_free(path);
    return ok;
}

static bool is_log(const char *path, err *e)
{
    keep_log l;
    bool ok = keep_log_read(&l, path, e);
    keep_log_release(&l);
    return ok ||
           err_wrap(e, "train.keep_replay wants a RUN folder of a training with train.keep_log, "
                       "or one of its files kept-epoch-NNNNNN.safetensors");
}

bool keep_log_lasts(const char *path, int64_t epochs, err *e)
{
    int64_t have = fs_is_dir(path) ? 0 : 1;
    if (have && fs_exists(path) && !is_log(path, e))
        return false;
    while (fs_is_dir(path) && have < epochs) {
        char *file = path_of(path, have + 1);
        bool there = fs_exists(file);
        mem_free(file);
        if (!there)
            break;
        have++;
    }
    if (!have)
        return err_set(e, ERR_INPUT,
                       "train.keep_replay: '%s' holds no kept-epoch-000001.safetensors, which a "
                       "training with train.keep_log writes",
                       path);
    return have >= epochs || err_set(e, ERR_INPUT,
                                     "train.keep_replay: the log ends after epoch %" PRId64
                                     ", train.epochs is %" PRId64,
                                     have, epochs);
}

int keep_log_most(const keep_log *l)
{
    int most = 0;
    for (int i = 0; i < l->n; i++)
        most = l->kept[i] > most ? l->kept[i] : most;
    return most;
}

double keep_log_share(const keep_log *l)
{
    double sum = 0;
    for (int i = 0; i < l->n; i++)
        sum += (double)l->images[i] * l->kept[i];
    return l->n_rows ? sum / ((double)l->n_rows * l->patches) : 1;
}

bool keep_log_replay(keep_log *l, const char *path, const keep_log_want *w, err *e)
{
    char *file = fs_is_dir(path) ? path_of(path, w->epoch) : mem_strdup(path);
    bool ok = keep_log_read(l, file, e) && (fits(l, w, false, e) || err_wrap(e, "'%s'", file));
    mem_free(file);
    return ok || err_wrap(e, "train.keep_replay");
}
