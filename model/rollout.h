/* Attention rollout: how much of the class token at the end comes from each token at the start,
 * when the heads of a block are averaged and the residual stream counts as much as the attention
 * (Abnar, Zuidema: Quantifying attention flow in transformers, 2020). docs/maps.md. */
#ifndef MODEL_ROLLOUT_H
#define MODEL_ROLLOUT_H

#include "model/op.h"

/* Called by blocks before their attention: keeps queries and keys where `w` asks for them (NULL:
 * nobody does). x, how: as for op_attention. */
void rollout_note(run *r, model_watch *w, const tensor *x, const op_attention_spec *how);

/* The product of (A + I) / 2 over all blocks, its row of the class token (distilled networks: mean
 * of both head tokens), from the last block down: a vector goes through each block, no matrix of
 * tokens x tokens is ever in memory. Where tokens left between blocks the vector follows the maps:
 * a merged or fused row hands its share to its members by the weights they had in it; what was
 * dropped gets nothing from above. w: one pass with w->attention, of a network whose blocks are one
 * sequence (model_is_sequence). start [rows that entered block 0]: sums to 1. last [rows that
 * entered the last block]: its attention alone, without the residual. Both on the host. */
void rollout_follow(const model_watch *w, backend *be, int sample, double *start, double *last);
int rollout_rows(const model_watch *w, int block); /* rows that entered a block */
#endif
