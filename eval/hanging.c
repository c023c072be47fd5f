/* The hanging protocol (hanging.h). */
#include "eval/hanging.h"

#include <math.h>
#include <string.h>

const char *const hanging_name[HANGING_PLACES] = {"RCC", "LCC", "RMLO", "LMLO"};

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static const char *word(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void add_layers(const json_t *view, hanging *h)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(view, "layers"), i, v)
    {
        int k = 0;
        while (k < h->n_layers && strcmp(h->layer[k], word(v, "map")))
            k++;
        if (k == h->n_layers && k < HANGING_LAYERS)
            h->layer[h->n_layers++] = word(v, "map");
    }
}

/* Where a picture belongs; its chest wall must be where that place has it. */
static int place_of(const json_t *view)
{
    for (int k = 0; k < HANGING_PLACES; k++)
        if (!strcmp(word(view, "view"), hanging_name[k]) &&
            !strcmp(word(view, "chest_wall"), k % 2 ? "left" : "right"))
            return k;
    return -1;
}

void hanging_of(const json_t *page, double widest_mm, hanging *out)
{
    size_t i;
    json_t *v;
    *out = (hanging){.in_mm = true};
    json_array_foreach(json_object_get(page, "views"), i, v)
    {
        int k = place_of(v);
        if (k >= 0 && !out->place[k]) {
            out->place[k] = v;
            out->n_placed++;
        }
        out->in_mm &= !isnan(number(v, "mm_per_px"));
        add_layers(v, out);
    }
    out->in_mm &= !isnan(widest_mm);
    if (out->in_mm)
        out->widest = widest_mm;
    json_array_foreach(json_object_get(page, "views"), i, v) if (!out->in_mm) out->widest =
        fmax(out->widest, number(v, "width"));
}

bool hanging_holds(const hanging *h, const json_t *view)
{
    for (int k = 0; k < HANGING_PLACES; k++)
        if (h->place[k] == view)
            return true;
    return false;
}

static double unit(const hanging *h, const json_t *view)
{
    return h->in_mm ? number(view, "mm_per_px") : 1;
}

double hanging_width(const hanging *h, const json_t *view)
{
    return number(view, "width") * unit(h, view);
}

double hanging_height(const hanging *h, const json_t *view)
{
    return number(view, "height") * unit(h, view);
}

double hanging_widest_mm(const json_t *pages)
{
    double widest = NAN;
    size_t i, k;
    json_t *page, *v;
    json_array_foreach(pages, i, page)
    {
        json_array_foreach(json_object_get(page, "views"), k, v) widest =
            fmax(widest, number(v, "width") * number(v, "mm_per_px"));
    }
    return widest;
}

const json_t *hanging_layer(const json_t *view, const char *map)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(view, "layers"), i, v)
    {
        if (!strcmp(word(v, "map"), map))
            return v;
    }
    return NULL;
}
