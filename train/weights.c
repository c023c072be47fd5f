/* Import and export of a network's parameters. Import reads everything before it changes anything.
 */
#include "train/weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "train/safetensors.h"
#include "train/weights_fit.h"

typedef struct job {
    model *m;
    weights_file file;
    weights_fit *fit; /* of every parameter */
    float **x;        /* its new values; NULL = keep */
} job;

/* ---- import ---------------------------------------------------------------------------------- */

static void fold(const float *rgb, float *out, const param *p)
{
    int64_t area = (int64_t)p->shape[2] * p->shape[3];
    for (int64_t d = 0; d < p->shape[0]; d++) {
        const float *from = rgb + d * 3 * area;
        for (int64_t i = 0; i < area; i++)
            out[d * area + i] =
                (float)((double)from[i] + (double)from[area + i] + (double)from[2 * area + i]);
    }
}

static void resample(const weights_fit *k, const float *raw, float *out)
{
    int64_t both = k->skip_from < k->skip_to ? k->skip_from : k->skip_to;
    memcpy(out, raw, (size_t)both * sizeof *out); /* rows that are new keep their initial values */
    resample_values(&k->grid, k->how, raw + k->skip_from, out + k->skip_to);
}

static bool read_one(job *j, int i, err *e)
{
    const param *p = &model_params(j->m)->p[i];
    const weights_fit *k = &j->fit[i];
    if (k->fate == WEIGHTS_KEEP)
        return true;
    const source *file = j->file.file;
    const array_info *a = source_at(file, (int)k->from->at);
    float *raw = source_values(file, a, e);
    bool ok = raw != NULL;
    for (int64_t v = 0; ok && v < a->n; v++) {
        if (!isfinite(raw[v]))
            ok = err_set(e, ERR_INPUT, "'%s' holds a value that is not finite", p->name);
    }
    if (ok && k->fate == WEIGHTS_LOAD) {
        j->x[i] = raw;
        return true;
    }
    if (ok) {
        j->x[i] = mem_alloc((size_t)p->n * sizeof(float));
        param_read(model_params(j->m), p, j->x[i]);
        if (k->fate == WEIGHTS_FOLD)
            fold(raw, j->x[i], p);
        else
            resample(k, raw, j->x[i]);
    }
    mem_free(raw);
    return ok;
}

static void add_line(text *out, const char *fate, const char *name, int ndim, const int64_t *shape)
{
    char safe[ARRAY_SHOWN];
    array_shown(name, safe);
    text_addf(out, "%-8s %s ", fate, safe);
    weights_shape_text(ndim, shape, out);
}

static void report_param(const job *j, const param *p, const weights_fit *k, text *out)
{
    static const char *const fates[] = {"loaded", "resized", "resized", "kept"};
    int64_t shape[4];
    weights_param_shape(p, shape);
    add_line(out, fates[k->fate], p->name, p->ndim, shape);
    if (k->fate != WEIGHTS_LOAD && k->from) {
        text_add(out, " file ");
        weights_shape_text(k->from->ndim, k->from->shape, out);
    }
    if (k->why[0])
        text_addf(out, " (%s)", k->why);
    if (k->from) {
        char theirs[ARRAY_SHOWN];
        array_shown(source_at(j->file.file, (int)k->from->at)->name, theirs);
        if (strcmp(theirs, p->name))
            text_addf(out, " from %s", theirs);
    }
    text_add(out, "\n");
}

static void fill_report(const job *j, weights_report *r)
{
    param_set *s = model_params(j->m);
    r->loaded = r->resized = r->kept = r->unused = 0;
    for (int i = 0; i < s->n; i++) {
        weights_fate fate = j->fit[i].fate;
        report_param(j, &s->p[i], &j->fit[i], &r->table);
        *(fate == WEIGHTS_LOAD ? &r->loaded : fate == WEIGHTS_KEEP ? &r->kept : &r->resized) += 1;
    }
    for (int i = 0; i < j->file.n; i++) {
        const array_info *a = &j->file.array[i];
        if (param_find(s, a->name))
            continue;
        add_line(&r->table, "unused", a->name, a->ndim, a->shape);
        text_add(&r->table, names_is_buffer(a->name) ? " (follows from the window)\n" : "\n");
        r->unused++;
    }
}

static bool import_all(job *j, const weights_opts *opts, err *e)
{
    param_set *s = model_params(j->m);
    if (!weights_fit_all(&j->file, j->m, opts, j->fit, e))
        return false;
    for (int i = 0; i < s->n; i++) {
        if (!read_one(j, i, e))
            return false;
    }
    for (int i = 0; i < s->n; i++) {
        if (j->x[i])
            param_write(s, &s->p[i], j->x[i]);
    }
    return true;
}

bool weights_load(model *m, const char *path, const weights_opts *opts, weights_report *report,
                  err *e)
{
    job j = {.m = m};
    param_set *s = model_params(m);
    if (!weights_file_open(&j.file, path, !opts->exact, e))
        return false;
    j.fit = MEM_ARRAY(weights_fit, s->n);
    j.x = MEM_ARRAY(float *, s->n);
    bool ok = import_all(&j, opts, e);
    if (!ok)
        err_wrap(e, "weights file '%s'", path);
    if (ok && report)
        fill_report(&j, report);
    for (int i = 0; i < s->n; i++)
        mem_free(j.x[i]);
    mem_free(j.x);
    mem_free(j.fit);
    weights_file_close(&j.file);
    return ok;
}

/* ---- export ---------------------------------------------------------------------------------- */

/* rename NULL: our own names. */
static bool write_all(model *m, const char *path, const names *rename, const json_t *metadata,
                      err *e)
{
    param_set *s = model_params(m);
    json_t *meta = metadata ? json_deep_copy(metadata) : json_object();
    char grid[32], name[NAMES_MAX];
    int rows, cols;
    model_grid(m, &rows, &cols);
    snprintf(grid, sizeof grid, "%dx%d", rows, cols);
    json_object_set_new(meta, WEIGHTS_GRID_KEY, json_string(grid));
    safetensors_writer *w = safetensors_writer_new(path, meta);
    json_decref(meta);
    float **x = MEM_ARRAY(float *, s->n);
    for (int i = 0; i < s->n; i++) {
        const param *p = &s->p[i];
        int64_t shape[4];
        weights_param_shape(p, shape);
        x[i] = mem_alloc((size_t)p->n * sizeof(float));
        param_read(s, p, x[i]);
        if (rename)
            names_from_ours(rename, p->name, name);
        safetensors_writer_add(w, rename ? name : p->name, p->ndim, shape, x[i]);
    }
    bool ok = safetensors_writer_finish(w, e);
    for (int i = 0; i < s->n; i++)
        mem_free(x[i]);
    mem_free(x);
    return ok ? true : err_wrap(e, "weights");
}

bool weights_save(model *m, const char *path, const json_t *metadata, err *e)
{
    return write_all(m, path, NULL, metadata, e);
}

bool weights_export(model *m, const char *path, names_layout layout, const json_t *metadata, err *e)
{
    param_set *s = model_params(m);
    const char **ours = MEM_ARRAY(const char *, s->n);
    for (int i = 0; i < s->n; i++)
        ours[i] = s->p[i].name;
    names k;
    names_of_network(&k, ours, s->n, layout);
    bool ok = write_all(m, path, &k, metadata, e);
    mem_free(ours);
    return ok;
}
