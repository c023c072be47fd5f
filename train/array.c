/* Named arrays as weight files hold them. */
#include "train/array.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/text.h"

#define READ_STEP ((size_t)1 << 20) /* bytes */

static const struct {
    const char *name;
    int width;
} types[ARRAY_TYPES] = {
    [ARRAY_F32] = {"F32", 4},   [ARRAY_F16] = {"F16", 2},         [ARRAY_BF16] = {"BF16", 2},
    [ARRAY_F64] = {"F64", 8},   [ARRAY_I64] = {"I64", 8},         [ARRAY_I32] = {"I32", 4},
    [ARRAY_I16] = {"I16", 2},   [ARRAY_I8] = {"I8", 1},           [ARRAY_U64] = {"U64", 8},
    [ARRAY_U32] = {"U32", 4},   [ARRAY_U16] = {"U16", 2},         [ARRAY_U8] = {"U8", 1},
    [ARRAY_BOOL] = {"BOOL", 1}, [ARRAY_F8_E5M2] = {"F8_E5M2", 1}, [ARRAY_F8_E4M3] = {"F8_E4M3", 1},
};

const char *array_type_name(array_type t)
{
    return types[t].name;
}

bool array_type_find(const char *name, size_t n, array_type *t)
{
    for (int i = 0; i < ARRAY_TYPES; i++) {
        if (strlen(types[i].name) == n && memcmp(types[i].name, name, n) == 0) {
            *t = (array_type)i;
            return true;
        }
    }
    return false;
}

int array_width(array_type t)
{
    return types[t].width;
}

bool array_is_real(array_type t)
{
    return t == ARRAY_F32 || t == ARRAY_F16 || t == ARRAY_BF16 || t == ARRAY_F64;
}

bool array_set_shape(array_info *a, int ndim, const int64_t *shape, err *e)
{
    int64_t n = 1, bytes;
    if (ndim < 0 || ndim > ARRAY_NDIM_MAX)
        return err_set(e, ERR_INPUT, "%d dimensions; at most %d are read", ndim, ARRAY_NDIM_MAX);
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0)
            return err_set(e, ERR_INPUT, "size %d of the shape is %lld", i, (long long)shape[i]);
        if (__builtin_mul_overflow(n, shape[i], &n))
            return err_set(e, ERR_INPUT, "the number of elements does not fit 64 bits");
        a->shape[i] = shape[i];
    }
    if (__builtin_mul_overflow(n, (int64_t)array_width(a->type), &bytes))
        return err_set(e, ERR_INPUT, "the number of bytes does not fit 64 bits");
    a->ndim = ndim;
    a->n = n;
    return true;
}

bool array_same_shape(const array_info *a, int ndim, const int *shape)
{
    if (a->ndim != ndim)
        return false;
    for (int i = 0; i < ndim; i++) {
        if (a->shape[i] != shape[i])
            return false;
    }
    return true;
}

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static float from_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, m = h & 0x3ffu;
    if (exponent == 31)
        return from_bits(sign | 0x7f800000u | m << 13);
    if (exponent)
        return from_bits(sign | (exponent + 112) << 23 | m << 13);
    float f = (float)m * 0x1p-24f; /* subnormal or zero: exact */
    return sign ? -f : f;
}

/* Little-endian values on this program's little-endian hosts. */
static void convert(array_type type, const uint8_t *raw, int64_t n, float *out)
{
    if (type == ARRAY_F32) {
        memcpy(out, raw, (size_t)n * sizeof *out);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        double d;
        uint16_t h;
        if (type == ARRAY_F64) {
            memcpy(&d, raw + i * (int64_t)sizeof d, sizeof d);
            out[i] = (float)d;
        } else {
            memcpy(&h, raw + i * (int64_t)sizeof h, sizeof h);
            out[i] = type == ARRAY_F16 ? from_half(h) : from_bits((uint32_t)h << 16);
        }
    }
}

bool array_read(array_type t, int64_t n, array_bytes *next, void *ctx, float *out, err *e)
{
    if (!array_is_real(t))
        return err_set(e, ERR_INPUT, "holds %s; F32, F16, BF16 or F64 wanted", array_type_name(t));
    int width = array_width(t);
    int64_t step = (int64_t)READ_STEP / width;
    uint8_t *raw = mem_alloc(READ_STEP);
    bool ok = true;
    for (int64_t at = 0; ok && at < n; at += step) {
        int64_t k = n - at < step ? n - at : step;
        ok = next(ctx, raw, (size_t)(k * width), e);
        if (ok)
            convert(t, raw, k, out + at);
    }
    mem_free(raw);
    return ok;
}

void array_gather(const array_info *a, const int64_t *stride, const float *src, float *out)
{
    int64_t index[ARRAY_NDIM_MAX] = {0}, from = 0;
    for (int64_t i = 0; i < a->n; i++) {
        out[i] = src[from];
        for (int d = a->ndim - 1; d >= 0; d--) { /* count up, last dimension fastest */
            from += stride[d];
            if (++index[d] < a->shape[d])
                break;
            from -= stride[d] * a->shape[d];
            index[d] = 0;
        }
    }
}

static int compare_names(const void *a, const void *b, void *arrays)
{
    const array_info *s = arrays;
    return strcmp(s[*(const int *)a].name, s[*(const int *)b].name);
}

int *array_by_name(const array_info *a, int n)
{
    int *order = MEM_ARRAY(int, n + 1);
    for (int i = 0; i < n; i++)
        order[i] = i;
    qsort_r(order, (size_t)n, sizeof *order, compare_names, (void *)(uintptr_t)a);
    return order;
}

const array_info *array_find(const array_info *a, int n, const int *by_name, const char *name)
{
    int low = 0, high = n;
    while (low < high) {
        int mid = (low + high) / 2, c = strcmp(name, a[by_name[mid]].name);
        if (c == 0)
            return &a[by_name[mid]];
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

void array_shown(const char *name, char out[ARRAY_SHOWN])
{
    text_copy(out, ARRAY_SHOWN, name);
}
