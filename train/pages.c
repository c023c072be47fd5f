/* The image pages of a prediction: which exams, and their PNG files (libpng). */
#include "train/pages.h"

#include "core/fs.h"
#include "core/json.h"
#include "core/mem.h"

#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SIDE 448

typedef struct exam {
    const char *id;
    double score; /* mean of its images */
    int y;
    int64_t first, last; /* places in row[] */
    const char *note;    /* why it was chosen; NULL = not */
} exam;

static void collect(png_structp png, png_bytep data, size_t len)
{
    text_addn(png_get_io_ptr(png), (const char *)data, len);
}

static void nothing(png_structp png)
{
    (void)png;
}

/* libpng's own calls only: a longjmp from it must not skip one of our frees. */
static bool encode(png_structp png, png_infop info, uint8_t *grey, int h, int w, text *out)
{
    if (setjmp(png_jmpbuf(png)))
        return false;
    png_set_write_fn(png, out, collect, nothing);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, 8, PNG_COLOR_TYPE_GRAY,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png, 6);
    png_write_info(png, info);
    for (int y = 0; y < h; y++)
        png_write_row(png, grey + (size_t)y * (size_t)w);
    png_write_end(png, NULL);
    return true;
}

/* Box mean over f x f pixels, then the high byte, rounded. */
static uint8_t *shrink(const uint16_t *image, int h, int w, int f, int *oh, int *ow)
{
    *oh = (h + f - 1) / f;
    *ow = (w + f - 1) / f;
    uint8_t *grey = MEM_ARRAY(uint8_t, (size_t)*oh * (size_t)*ow);
    for (int y = 0; y < *oh; y++)
        for (int x = 0; x < *ow; x++) {
            uint64_t sum = 0;
            int n = 0;
            for (int yy = y * f; yy < h && yy < (y + 1) * f; yy++)
                for (int xx = x * f; xx < w && xx < (x + 1) * f; xx++, n++)
                    sum += image[(size_t)yy * (size_t)w + (size_t)xx];
            grey[(size_t)y * (size_t)*ow + (size_t)x] = pages_grey(sum / (uint64_t)n);
        }
    return grey;
}

bool pages_encode(const uint16_t *image, int h, int w, int side, text *out, err *e)
{
    int f = ((h > w ? h : w) + side - 1) / side, oh, ow;
    bool ok = false;
    uint8_t *grey = shrink(image, h, w, f < 1 ? 1 : f, &oh, &ow);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (info)
        ok = encode(png, info, grey, oh, ow, out);
    png_destroy_write_struct(&png, &info);
    mem_free(grey);
    return ok || err_set(e, ERR_MEMORY, "libpng could not encode a %d x %d image", ow, oh);
}

bool pages_png(const char *path, const uint16_t *image, int h, int w, int side, err *e)
{
    text out;
    text_init(&out);
    bool ok = pages_encode(image, h, w, side, &out, e) && fs_write(path, out.s, out.len, e);
    text_release(&out);
    return ok;
}

static int by_score(const void *a, const void *b)
{
    const exam *x = a, *y = b;
    return x->score != y->score ? (x->score > y->score) - (x->score < y->score)
                                : strcmp(x->id, y->id);
}

/* Rows of an exam are neighbours in a cohort. */
static exam *list_exams(const cohort *c, const int64_t *row, int64_t n_rows, const double *score,
                        int horizon, int64_t *n)
{
    exam *x = MEM_ARRAY(exam, n_rows ? n_rows : 1);
    *n = 0;
    for (int64_t a = 0, b; a < n_rows; a = b) {
        double sum = 0;
        int y = -1;
        for (b = a; b < n_rows && !strcmp(c->row[row[b]].exam, c->row[row[a]].exam); b++) {
            sum += score[b];
            y = c->row[row[b]].y[horizon] > y ? c->row[row[b]].y[horizon] : y;
        }
        x[(*n)++] = (exam){c->row[row[a]].exam, sum / (double)(b - a), y, a, b, NULL};
    }
    qsort(x, (size_t)*n, sizeof *x, by_score);
    return x;
}

/* First exam from one end that is free and has the label (any when y < 0). */
static bool mark(exam *x, int64_t n, bool from_top, int y, const char *note)
{
    for (int64_t i = 0; i < n; i++) {
        exam *t = &x[from_top ? n - 1 - i : i];
        if (!t->note && (y < 0 || t->y == y)) {
            t->note = note;
            return true;
        }
    }
    return false;
}

static void choose(exam *x, int64_t n, int want)
{
    static const struct {
        bool top;
        int y;
        const char *note;
    } turn[] = {{true, -1, "among the highest scores"},
                {false, 1, "cancer, but a low score"},
                {true, 0, "no cancer, but a high score"},
                {false, -1, "among the lowest scores"}};
    int done = 0;
    for (int k = 0; done < want && k < 4 * want; k++)
        done += mark(x, n, turn[k % 4].top, turn[k % 4].y, turn[k % 4].note);
}

void pages_choose(const cohort *c, const int64_t *row, int64_t n_rows, const double *score,
                  int horizon, int n, bool *chosen)
{
    int64_t n_exams;
    exam *x = list_exams(c, row, n_rows, score, horizon, &n_exams);
    choose(x, n_exams, n);
    memset(chosen, 0, (size_t)n_rows * sizeof *chosen);
    for (int64_t i = 0; i < n_exams; i++)
        for (int64_t k = x[i].first; x[i].note && k < x[i].last; k++)
            chosen[k] = true;
    mem_free(x);
}

static const char *view_name(const cohort_row *r)
{
    static const char *const name[] = {"L", "LCC", "LMLO", "R", "RCC", "RMLO"};
    return name[3 * (r->side == 'R') + (r->view == 'C' ? 1 : r->view == 'M' ? 2 : 0)];
}

static bool write_exam(const char *dir, loader *l, const cohort *c, const int64_t *row,
                       const double *score, const exam *x, int number, uint16_t *pixels, int h,
                       int w, json_t *index, err *e)
{
    for (int64_t i = x->first; i < x->last; i++) {
        const cohort_row *r = &c->row[row[i]];
        char file[64];
        snprintf(file, sizeof file, "exam-%03d-%02d-%s.png", number, (int)(i - x->first),
                 view_name(r));
        char *path = fs_join(dir, file);
        bool ok = loader_image(l, row[i], pixels, e) && pages_png(path, pixels, h, w, PAGE_SIDE, e);
        mem_free(path);
        if (!ok)
            return false;
        json_array_append_new(index, json_pack("{s:s, s:s, s:s, s:o, s:s}", "exam_id", x->id,
                                               "view", view_name(r), "file", file, "score",
                                               json_num(score[i]), "note", x->note));
    }
    return true;
}

bool pages_write(const char *dir, loader *l, const cohort *c, const int64_t *row, int64_t n_rows,
                 const double *score, int horizon, int n, err *e)
{
    int64_t n_exams;
    int number = 0, h = 0, w = 0;
    loader_size(l, &h, &w);
    exam *x = list_exams(c, row, n_rows, score, horizon, &n_exams);
    json_t *index = json_array();
    uint16_t *pixels = MEM_ARRAY(uint16_t, (size_t)h * (size_t)w);
    char *path = fs_join(dir, "index.json");
    choose(x, n_exams, n);
    bool ok = fs_remove_tree(dir, e) && fs_mkdirs(dir, e);
    for (int64_t i = n_exams - 1; i >= 0 && ok; i--)
        if (x[i].note)
            ok = write_exam(dir, l, c, row, score, &x[i], ++number, pixels, h, w, index, e);
    ok = ok && json_write(path, index, true, e);
    json_decref(index);
    mem_free(pixels);
    mem_free(path);
    mem_free(x);
    return ok;
}
