/* Where the tokens of a Swin network stand: orders of windows, the maps between them, and what each
 * window's attention looks up. Index arithmetic only. Structured PatchDropout (patchdropout.md 2)
 * lives here: every window of `window` x `window` patches keeps `side` rows and columns, and all
 * stages run on the map that the kept patches form, with windows of side x side.
 *
 * The dense network is the case side = window. Positions are true ones: a token's place is the mean
 * of the patches merged into it, in cells of its stage, and a relative position is the rounded
 * difference, cut at what the table holds. Blocks shift by half a window of the map that is there,
 * and its real wrap is masked. With SWIN_TILE all this is as the published program has it. */
#ifndef MODEL_SWIN_PLAN_H
#define MODEL_SWIN_PLAN_H

#include "model/net.h"

#define SWIN_STAGES 4

/* Which windows share rows and columns: none; those of one image; window j of the whole batch takes
 * set j mod b, in every stage, for places and masks too. */
typedef enum swin_sets { SWIN_WINDOW, SWIN_IMAGE, SWIN_TILE } swin_sets;

/* Kept rows, and columns, of a window. */
int swin_plan_side(const net_cfg *c, double rate);
/* net_kind's kept, select and keep_fault. */
int swin_plan_kept(const net_cfg *c, double rate);
void swin_plan_select(const net_cfg *c, const model_draw *d, int32_t *keep);
const char *swin_plan_fault(const net_cfg *c, const model_batch *batch);

/* The map of one stage: down x across windows of side x side tokens. */
typedef struct swin_grid {
    int side, down, across;
    int shift; /* of its odd blocks, tokens; 0 = none */
} swin_grid;
/* at[place in the order of windows] = place row by row on the map. */
void swin_plan_order(const swin_grid *g, bool shifted, int32_t *at);

typedef struct swin_plan swin_plan;
/* For one batch; everything is derived from its kept patches. shape: sizes only. BUG where
 * swin_plan_fault finds one. Borrows c and batch. */
swin_plan *swin_plan_new(const net_cfg *c, const model_batch *batch, bool shape);
void swin_plan_free(swin_plan *p);
const swin_grid *swin_plan_grid(const swin_plan *p, int stage);
/* Kept patches in the order of the first stage's windows, [b, tokens], memory of the run. */
const int32_t *swin_plan_stem(const swin_plan *p, run *r);
/* Specs in backend memory of the run: all patches to the first stage's order; from order to order
 * of one stage; four neighbours side by side in the next stage's order; biases of one order. */
op_map_spec swin_plan_drop(const swin_plan *p, run *r);
op_map_spec swin_plan_move(const swin_plan *p, run *r, int stage, bool to_shifted);
op_map_spec swin_plan_merge(const swin_plan *p, run *r, int stage, bool from_shifted);
op_window_spec swin_plan_windows(const swin_plan *p, run *r, int stage, bool shifted);
#endif
