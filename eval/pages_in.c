/* Reads PRED/pages (pages_in.h). Only known members of the index are taken over, each checked. */
#include "eval/pages_in.h"

#include "core/fs.h"
#include "core/mem.h"
#include "eval/cells.h"

#include <math.h>
#include <string.h>

#define FORMAT      "mammovit.pages/2"
#define PNG_MAX     (4u << 20) /* bytes of one picture */
#define ROOM        19000000.0 /* bytes of all pages in the report, which stays below 25 MB */
#define SIDE_MAX    20000      /* pixels */
#define VIEWS_MAX   64         /* of one exam */
#define LAYERS_MAX  8          /* of one view */
#define CLASSES_MAX 40
#define GRID_MAX    1024 /* patches along a side */
#define PATCH_BYTES 16.0 /* that one takes in the report at most */

void pages_in_init(pages_in *p)
{
    *p = (pages_in){.exams = json_array()};
}

void pages_in_release(pages_in *p)
{
    for (int i = 0; i < p->n; i++)
        mem_free(p->image[i].png);
    mem_free(p->image);
    json_decref(p->exams);
    memset(p, 0, sizeof *p);
}

int pages_in_class(char letter)
{
    return letter >= '0' && letter <= '9'   ? letter - '0'
           : letter >= 'a' && letter <= 'z' ? letter - 'a' + 10
           : letter >= 'A' && letter <= 'D' ? letter - 'A' + 36
                                            : -1;
}

static bool put_text(json_t *to, const json_t *from, const char *key, bool needed, err *e)
{
    const char *s = "";
    if ((needed || json_object_get(from, key)) && !json_get_text(from, key, &s, e))
        return false;
    json_object_set_new(to, key, cells_string(s));
    return true;
}

/* A number of the range, or null; absent is null. */
static bool put_number(json_t *to, const json_t *from, const char *key, double low, double high,
                       err *e)
{
    const json_t *v = json_object_get(from, key);
    double x = json_number_value(v);
    if (!v || json_is_null(v)) {
        json_object_set_new(to, key, json_null());
        return true;
    }
    if (!json_is_number(v) || !(x >= low && x <= high))
        return err_set(e, ERR_INPUT, "'%s' is not a number of %g to %g", key, low, high);
    json_object_set_new(to, key, json_num(x));
    return true;
}

/* ---- layers ---------------------------------------------------------------------------------- */

static bool read_class(const json_t *from, json_t *classes, err *e)
{
    json_t *k = json_object();
    json_array_append_new(classes, k);
    if (!put_text(k, from, "label", true, e) || !put_text(k, from, "colour", true, e))
        return false;
    const char *c = json_string_value(json_object_get(k, "colour"));
    if (strlen(c) != 7 || c[0] != '#' || strspn(c + 1, "0123456789abcdef") != 6)
        return err_set(e, ERR_INPUT, "'colour' is not # and six hexadecimal digits");
    json_object_set_new(k, "hatched", json_boolean(json_is_true(json_object_get(from, "hatched"))));
    return true;
}

static bool read_grid(const json_t *from, size_t classes, json_t *to, err *e)
{
    const json_t *rows = json_object_get(from, "patches");
    size_t n = json_array_size(rows), cols = 0;
    json_t *out = json_array();
    json_object_set_new(to, "patches", out);
    if (!n || n > GRID_MAX)
        return err_set(e, ERR_INPUT, "'patches' has %zu rows, wanted 1 to %d", n, GRID_MAX);
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(rows, i));
        size_t len = s ? strlen(s) : 0;
        if (!len || len > GRID_MAX || (i && len != cols))
            return err_set(e, ERR_INPUT, "'patches' is no grid");
        cols = len;
        for (size_t k = 0; k < len; k++)
            if (s[k] != '.' &&
                (pages_in_class(s[k]) < 0 || (size_t)pages_in_class(s[k]) >= classes))
                return err_set(e, ERR_INPUT, "'patches' names a class that is not there");
        json_array_append_new(out, json_string(s));
    }
    return true;
}

static bool read_layer(const json_t *from, json_t *layers, err *e)
{
    const json_t *list = json_object_get(from, "classes");
    json_t *to = json_object(), *classes = json_array();
    size_t n = json_array_size(list);
    json_array_append_new(layers, to);
    json_object_set_new(to, "classes", classes);
    if (!put_text(to, from, "map", true, e) || !put_text(to, from, "title", true, e) ||
        !put_text(to, from, "shows", true, e) || !put_text(to, from, "plain", true, e))
        return false;
    const char *map = json_string_value(json_object_get(to, "map"));
    if (!map[0] || strspn(map, "abcdefghijklmnopqrstuvwxyz-0123456789") != strlen(map))
        return err_set(e, ERR_INPUT, "'map' is not a word of small letters");
    if (!n || n > CLASSES_MAX)
        return err_set(e, ERR_INPUT, "a layer of %zu classes, wanted 1 to %d", n, CLASSES_MAX);
    for (size_t i = 0; i < n; i++)
        if (!read_class(json_array_get(list, i), classes, e))
            return false;
    return read_grid(from, n, to, e);
}

static bool read_layers(const json_t *view, json_t *to, err *e)
{
    const json_t *list = json_object_get(view, "layers");
    json_t *layers = json_array();
    json_object_set_new(to, "layers", layers);
    if (json_array_size(list) > LAYERS_MAX)
        return err_set(e, ERR_INPUT, "more than %d layers", LAYERS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read_layer(json_array_get(list, i), layers, e))
            return err_wrap(e, "layer %zu", i + 1);
    return true;
}

/* ---- pictures -------------------------------------------------------------------------------- */

static uint32_t be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool check_png(report_image *m, const char *file, err *e)
{
    static const unsigned char head[16] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n',
                                           0,    0,   0,   13,  'I',  'H',  'D',  'R'};
    const unsigned char *p = (const unsigned char *)m->png;
    if (m->png_len < 33 || memcmp(p, head, sizeof head))
        return err_set(e, ERR_INPUT, "pages/%s: not a PNG file", file);
    uint32_t w = be32(p + 16), h = be32(p + 20);
    if (!w || !h || w > SIDE_MAX || h > SIDE_MAX)
        return err_set(e, ERR_INPUT, "pages/%s: %u x %u pixels; wanted 1 to %d", file, w, h,
                       SIDE_MAX);
    m->width = (int)w;
    m->height = (int)h;
    return true;
}

static bool base_name_only(const char *file)
{
    return file[0] && file[0] != '.' && !strchr(file, '/') && !strchr(file, '\\');
}

static bool read_picture(pages_in *p, const char *dir, const char *file, json_t *view, err *e)
{
    char sha256[65], *path = fs_join(dir, file);
    p->image = mem_realloc(p->image, (size_t)p->n * sizeof *p->image,
                           (size_t)(p->n + 1) * sizeof *p->image);
    report_image *m = &p->image[p->n];
    *m = (report_image){0};
    bool ok = fs_read(path, PNG_MAX, &m->png, &m->png_len, e);
    mem_free(path);
    p->n += ok;
    if (!ok || !check_png(m, file, e))
        return false;
    fs_sha256_of(m->png, m->png_len, sha256);
    json_object_set_new(view, "image", json_integer(p->n - 1));
    json_object_set_new(view, "sha256", json_string(sha256));
    json_object_set_new(view, "width", json_integer(m->width));
    json_object_set_new(view, "height", json_integer(m->height));
    return true;
}

static bool read_view(pages_in *p, const char *dir, const json_t *from, json_t *views, err *e)
{
    json_t *to = json_object();
    const char *wall = "", *file;
    json_array_append_new(views, to);
    if (!put_text(to, from, "view", true, e) || !put_text(to, from, "file", true, e) ||
        !put_number(to, from, "score", 0, 1, e) ||
        !put_number(to, from, "mm_per_px", 1e-3, 1e3, e) ||
        !json_get_text(from, "chest_wall", &wall, e))
        return false;
    if (strcmp(wall, "left") && strcmp(wall, "right"))
        return err_set(e, ERR_INPUT, "'chest_wall' is neither left nor right");
    json_object_set_new(to, "chest_wall", json_string(wall));
    file = json_string_value(json_object_get(to, "file"));
    if (!base_name_only(file))
        return err_set(e, ERR_INPUT, "'file' is not a plain file name");
    return read_picture(p, dir, file, to, e) && read_layers(from, to, e);
}

/* ---- the index ------------------------------------------------------------------------------- */

/* Bytes that the pages of an exam take in the report. */
static double weight_of(const pages_in *p, const json_t *exam)
{
    double sum = 0;
    size_t i, k;
    json_t *view, *layer;
    json_array_foreach(json_object_get(exam, "views"), i, view)
    {
        sum +=
            4.0 / 3 * (double)p->image[json_integer_value(json_object_get(view, "image"))].png_len;
        json_array_foreach(json_object_get(view, "layers"), k, layer)
        {
            const json_t *rows = json_object_get(layer, "patches");
            sum += PATCH_BYTES * (double)json_array_size(rows) *
                   (double)json_string_length(json_array_get(rows, 0));
        }
    }
    return sum;
}

static bool read_exam(pages_in *p, const char *dir, const json_t *from, json_t *to, err *e)
{
    const json_t *list = json_object_get(from, "views");
    json_t *views = json_array();
    size_t n = json_array_size(list);
    json_object_set_new(to, "views", views);
    if (!put_text(to, from, "exam_id", true, e) || !put_text(to, from, "why", false, e) ||
        !put_text(to, from, "note", false, e))
        return false;
    if (!n || n > VIEWS_MAX)
        return err_set(e, ERR_INPUT, "%zu views, wanted 1 to %d", n, VIEWS_MAX);
    for (size_t i = 0; i < n; i++)
        if (!read_view(p, dir, json_array_get(list, i), views, e))
            return err_wrap(e, "view %zu", i + 1);
    return true;
}

/* Exams in their order until one does not fit; that one and all behind it are left out. */
static bool read_exams(pages_in *p, const char *dir, const json_t *list, int64_t max_exams, err *e)
{
    size_t n = json_array_size(list);
    double bytes = 0;
    for (size_t i = 0; i < n; i++) {
        p->left_out = (int64_t)(n - i);
        if ((int64_t)i >= max_exams)
            return true;
        json_t *to = json_object();
        int images = p->n;
        if (!read_exam(p, dir, json_array_get(list, i), to, e)) {
            json_decref(to);
            return err_wrap(e, "pages/index.json exam %zu", i + 1);
        }
        bytes += weight_of(p, to);
        if (bytes > ROOM) {
            while (p->n > images)
                mem_free(p->image[--p->n].png);
            json_decref(to);
            return true;
        }
        json_array_append_new(p->exams, to);
    }
    p->left_out = 0;
    return true;
}

bool pages_in_read(pages_in *p, const char *dir, int64_t max_exams, err *e)
{
    char *path = fs_join(dir, "index.json");
    json_t *doc = NULL;
    bool ok = !fs_exists(path) || json_read(path, &doc, e);
    mem_free(path);
    if (!ok || !doc)
        return ok;
    const char *format = json_string_value(json_object_get(doc, "format"));
    const json_t *list = json_object_get(doc, "exams");
    if (!format || strcmp(format, FORMAT))
        ok = err_set(e, ERR_INPUT,
                     "pages/index.json: its format is not " FORMAT "; run predict again");
    else if (!json_is_array(list))
        ok = err_set(e, ERR_INPUT, "pages/index.json: 'exams' is not a list");
    else
        ok = read_exams(p, dir, list, max_exams, e);
    json_decref(doc);
    return ok;
}
