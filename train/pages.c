/* The image pages of a prediction: pictures and index (pages.h). */
#include "train/pages.h"

#include "core/fs.h"
#include "core/mem.h"
#include "train/picture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct pages {
    const pages_spec *s;
    loader *load;
    const char *dir;
    uint16_t *pixels; /* of one canvas */
    int h, w;
    double mm; /* of a picture's pixel, where all pixels of an exam have a known size */
    json_t *index;
} pages;

void pages_choose(const pages_spec *s, bool *chosen)
{
    int64_t n;
    page_exam *x = page_choice_make(&s->scored, s->exams, s->seed, &n);
    memset(chosen, 0, (size_t)s->scored.n * sizeof *chosen);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = x[i].first; x[i].why != PAGE_NOT_CHOSEN && k < x[i].last; k++)
            chosen[k] = true;
    mem_free(x);
}

const char *pages_view_name(char side, char view)
{
    static const char *const name[] = {"L", "LCC", "LMLO", "R", "RCC", "RMLO"};
    return name[3 * (side == 'R') + (view == 'C' ? 1 : view == 'M' ? 2 : 0)];
}

/* ---- scale ----------------------------------------------------------------------------------- */

static bool see(pages *p, int64_t i, picture_view *v, err *e)
{
    shard_meta m;
    int64_t row = p->s->scored.row[i];
    if (!loader_image(p->load, row, p->pixels, e) || !loader_meta(p->load, row, &m, e))
        return false;
    *v = picture_view_of(p->pixels, p->h, p->w, p->s->patch, m.affine, m.mm_per_px,
                         p->s->scored.data->row[row].side);
    return true;
}

/* The smallest pixel that lets every picture so far end within the page and enlarges none. */
static double widen(const pages *p, const picture_view *v, double mm)
{
    double longest = fmax(v->crop_h * v->mm_h, v->crop_w * v->mm_w);
    return fmax(mm, fmax(longest / p->s->side, fmax(v->mm_h, v->mm_w)));
}

/* The scale of one exam. Where the size of a pixel of one of its images is unknown, it is so for
 * all: then in pixels of the canvas, and its pictures are not of one physical scale. */
static bool exam_scale(pages *p, const page_exam *x, bool *known, double *mm, err *e)
{
    picture_view v;
    double own = 0;
    *known = true;
    *mm = 0;
    for (int64_t i = x->first; i < x->last; i++) {
        if (!see(p, i, &v, e))
            return false;
        *known &= v.known;
        *mm = widen(p, &v, *mm);
        picture_view_forget(&v);
        own = widen(p, &v, own);
    }
    *mm = *known ? *mm : own;
    return true;
}

static bool page_scale(pages *p, const page_exam *x, int64_t n, err *e)
{
    for (int64_t i = 0; i < n; i++) {
        bool known;
        double mm;
        if (x[i].why == PAGE_NOT_CHOSEN)
            continue;
        if (!exam_scale(p, &x[i], &known, &mm, e))
            return false;
        if (known)
            p->mm = fmax(p->mm, mm);
    }
    return true;
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* A row of patches as the picture shows it: what is left of the crop's edge, mirrored or not. */
static json_t *shown_row(const char *s, int cols, bool mirror)
{
    char *out = mem_strdup(s);
    int n = (int)strlen(s);
    cols = cols < n ? cols : n;
    for (int c = 0; c < cols; c++)
        out[c] = s[mirror ? cols - 1 - c : c];
    out[cols] = 0;
    json_t *j = json_string(out);
    mem_free(out);
    return j;
}

static json_t *shown_layers(const pages *p, const char *image, const picture_view *v)
{
    json_t *out = json_array(), *layer;
    size_t i, k;
    int rows = v->crop_h / p->s->patch, cols = v->crop_w / p->s->patch;
    json_array_foreach(json_object_get(p->s->layers, image), i, layer)
    {
        json_t *copy = json_copy(layer), *grid = json_array(), *line;
        json_array_foreach(json_object_get(layer, "patches"), k, line)
        {
            if ((int)k < rows)
                json_array_append_new(grid, shown_row(json_string_value(line), cols, v->mirror));
        }
        json_object_set_new(copy, "patches", grid);
        json_array_append_new(out, copy);
    }
    return out;
}

/* ---- pictures and index ---------------------------------------------------------------------- */

static bool write_view(pages *p, int64_t i, bool known, double mm, const char *file, json_t *views,
                       err *e)
{
    const cohort_row *r = &p->s->scored.data->row[p->s->scored.row[i]];
    picture_view v;
    int h, w;
    if (!see(p, i, &v, e))
        return false;
    if (!known)
        picture_view_forget(&v);
    uint8_t *grey = picture_hang(&v, p->pixels, mm, &h, &w);
    char *path = fs_join(p->dir, file);
    bool ok = picture_write(path, grey, h, w, e);
    json_array_append_new(views,
                          json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:i, s:i, s:o}", "view",
                                    pages_view_name(r->side, r->view), "file", file, "image_id",
                                    r->image, "score", json_num(p->s->scored.score[i]), "mm_per_px",
                                    known ? json_num(mm) : json_null(), "chest_wall",
                                    v.mirror ? "right" : "left", "width", w, "height", h, "layers",
                                    shown_layers(p, r->image, &v)));
    mem_free(path);
    mem_free(grey);
    return ok;
}

static bool write_exam(pages *p, const page_exam *x, int number, err *e)
{
    json_t *views = json_array();
    bool known, ok;
    double mm;
    ok = exam_scale(p, x, &known, &mm, e);
    for (int64_t i = x->first; i < x->last && ok; i++) {
        const cohort_row *r = &p->s->scored.data->row[p->s->scored.row[i]];
        char file[64];
        snprintf(file, sizeof file, "exam-%03d-%02d-%s.png", number, (int)(i - x->first),
                 pages_view_name(r->side, r->view));
        ok = write_view(p, i, known, known ? p->mm : mm, file, views, e);
    }
    json_array_append_new(json_object_get(p->index, "exams"),
                          json_pack("{s:s, s:s, s:o, s:o, s:o}", "exam_id", x->id, "why",
                                    page_why_name(x->why), "score", json_num(x->score),
                                    "percentile", json_num(x->percentile), "views", views));
    return ok;
}

bool pages_write(const char *dir, loader *l, const pages_spec *s, err *e)
{
    int64_t n;
    int number = 0;
    pages p = {.s = s, .load = l, .dir = dir};
    page_exam *x = page_choice_make(&s->scored, s->exams, s->seed, &n);
    loader_size(l, &p.h, &p.w);
    p.pixels = MEM_ARRAY(uint16_t, (size_t)p.h * (size_t)p.w);
    p.index = json_pack("{s:s, s:I, s:[]}", "format", PAGES_FORMAT, "exams_scored", (json_int_t)n,
                        "exams");
    char *path = fs_join(dir, "index.json");
    bool ok = fs_remove_tree(dir, e) && fs_mkdirs(dir, e) && page_scale(&p, x, n, e);
    for (int64_t i = n - 1; i >= 0 && ok; i--)
        if (x[i].why != PAGE_NOT_CHOSEN)
            ok = write_exam(&p, &x[i], ++number, e);
    ok = ok && json_write(path, p.index, true, e);
    json_decref(p.index);
    mem_free(p.pixels);
    mem_free(path);
    mem_free(x);
    return ok;
}

bool pages_index_read(const char *path, json_t **index, err *e)
{
    const char *format;
    if (!json_read(path, index, e))
        return false;
    if (json_is_object(*index) && json_get_text(*index, "format", &format, NULL) &&
        !strcmp(format, PAGES_FORMAT) && json_is_array(json_object_get(*index, "exams")))
        return true;
    json_decref(*index);
    *index = NULL;
    return err_set(e, ERR_INPUT, "'%s' is no index of " PAGES_FORMAT, path);
}

void pages_index_add(json_t *index, const char *exam, const char *note, json_t *view)
{
    json_t *exams = json_object_get(index, "exams"), *x;
    size_t i;
    json_array_foreach(exams, i, x)
    {
        const char *id = json_string_value(json_object_get(x, "exam_id"));
        if (id && !strcmp(id, exam)) {
            json_array_append_new(json_object_get(x, "views"), view);
            return;
        }
    }
    json_array_append_new(exams, json_pack("{s:s, s:s, s:n, s:n, s:[o]}", "exam_id", exam, "note",
                                           note, "score", "percentile", "views", view));
}
