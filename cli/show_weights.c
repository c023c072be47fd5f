/* The arrays of a file of weights as a table. */
#include "cli/show_weights.h"

#include <inttypes.h>
#include <math.h>

#include "core/mem.h"
#include "core/text.h"
#include "train/source.h"

typedef struct summary {
    double low, high, mean; /* of the finite values; NaN = none */
    int64_t odd;            /* values that are not finite */
} summary;

static bool summarise(const source *s, const array_info *t, summary *out, err *e)
{
    *out = (summary){NAN, NAN, NAN, 0};
    if (!array_is_real(t->type))
        return true;
    float *x = source_values(s, t, e);
    if (!x)
        return false;
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < t->n; i++) {
        double v = (double)x[i];
        if (!isfinite(v)) {
            out->odd++;
            continue;
        }
        out->low = n && out->low < v ? out->low : v;
        out->high = n && out->high > v ? out->high : v;
        sum += v;
        n++;
    }
    if (n)
        out->mean = sum / (double)n;
    mem_free(x);
    return true;
}

static void print_array(const cmd_args *a, const array_info *t, const summary *k)
{
    json_t *dims = json_array();
    text line;
    char name[256];
    text_copy(name, sizeof name, t->name);
    text_init(&line);
    for (int d = 0; d < t->ndim; d++) {
        text_addf(&line, "%s%" PRId64, d ? "x" : "", t->shape[d]);
        json_array_append_new(dims, json_integer(t->shape[d]));
    }
    if (!isnan(k->mean))
        text_addf(&line, "  %.4g .. %.4g, mean %.4g", k->low, k->high, k->mean);
    if (k->odd)
        text_addf(&line, "  %" PRId64 " not finite", k->odd);
    cmd_result(a,
               json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:I}", "name", json_words(t->name),
                         "dtype", array_type_name(t->type), "shape", dims, "min", json_num(k->low),
                         "max", json_num(k->high), "mean", json_num(k->mean), "not_finite",
                         (json_int_t)k->odd),
               "%-48s %-5s %s\n", name, array_type_name(t->type), line.s);
    text_release(&line);
}

bool show_weights(const cmd_args *a, const char *path, err *e)
{
    source *s = source_open(path, e);
    bool ok = s != NULL;
    for (int i = 0; ok && i < source_count(s); i++) {
        summary k;
        ok = summarise(s, source_at(s, i), &k, e) || err_wrap(e, "weights file '%s'", path);
        if (ok)
            print_array(a, source_at(s, i), &k);
    }
    source_close(s);
    return ok;
}
