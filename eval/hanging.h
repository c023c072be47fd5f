/* How the views of an exam hang: RCC LCC above RMLO LMLO, the right breast on the viewer's left,
 * chest walls touching in the middle, all at one scale (evaluation.md 18). Shared by the renderers.
 */
#ifndef EVAL_HANGING_H
#define EVAL_HANGING_H

#include "core/json.h"

enum { HANGING_RCC, HANGING_LCC, HANGING_RMLO, HANGING_LMLO, HANGING_PLACES };
extern const char *const hanging_name[HANGING_PLACES];

#define HANGING_LAYERS 8
typedef struct hanging {                 /* borrowed from the page */
    const json_t *place[HANGING_PLACES]; /* NULL: not there */
    int n_placed;
    bool in_mm;                        /* lengths are millimetres, else pixels of the pictures */
    double widest;                     /* picture of the exams that share the scale */
    const char *layer[HANGING_LAYERS]; /* names of maps, in their order */
    int n_layers;
} hanging;
/* page: of tree.pages; widest_mm: of all pages, or NaN. */
void hanging_of(const json_t *page, double widest_mm, hanging *out);
/* Is the view one of those placed? Others are shown beside. */
bool hanging_holds(const hanging *h, const json_t *view);
double hanging_width(const hanging *h, const json_t *view); /* in the unit of widest */
double hanging_height(const hanging *h, const json_t *view);
/* The widest picture of known size over tree.pages, mm; NaN: none. */
double hanging_widest_mm(const json_t *pages);
/* The layer of a view with this name, or NULL. */
const json_t *hanging_layer(const json_t *view, const char *map);
#endif
