/* The gradient of one optimiser step: the sum over its micro-batches, here and in the other
 * processes of a training (backend_join). It is added up as one balanced tree over the
 * micro-batches in their order, ((0 + 1) + (2 + 3)) + ..., so that its bytes on the CPU do not
 * depend on how many processes share them. Sums over processes travel in buckets, each started as
 * soon as the last backward pass has completed its gradients. */
#ifndef MODEL_GRADS_H
#define MODEL_GRADS_H

#include "model/tape.h"

/* Which of a step's `parts` micro-batches process `rank` of `size` takes: `count` from `first` on.
 * Blocks of a power of two, so that every process has a whole branch of the tree; the processes
 * 0 .. active-1 have some. */
typedef struct grads_share {
    int first, count, active;
} grads_share;
grads_share grads_deal(int parts, int rank, int size);

typedef struct grads grads;
/* bucket: bytes of gradients that travel together, at least. The set is borrowed. */
grads *grads_new(param_set *s, size_t bucket);
void grads_free(grads *g);
/* A step begins: gradients are zero. */
void grads_begin(grads *g, const grads_share *share);
/* run_backward of the next of `count` micro-batches. */
void grads_walk(grads *g, run *r, tensor *loss);
/* Behind it, and behind the piece of work that it stood in, which so is the same for every
 * micro-batch but the last: the gradients go where the tree wants them. */
void grads_keep(grads *g);
/* The gradients of the set are the sum over all micro-batches of all processes. To be called also
 * by a process that has none, or that failed on the way and will say so: the others wait for it. */
void grads_end(grads *g);
int64_t grads_largest(const grads *g); /* floats of the largest bucket */
/* Copies of all gradients that a process of so many micro-batches holds on the way. */
int grads_copies(int count);
#endif
