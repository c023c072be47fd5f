/* Places for pieces of memory in a few large blocks; the memory itself belongs to the caller. First
 * fit by rising address: the same requests in the same order lead to the same places, whether the
 * blocks were there or came as they were wanted. */
#ifndef MODEL_HEAP_H
#define MODEL_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#define HEAP_BLOCKS  64
#define HEAP_ENDLESS ((size_t)1 << 60) /* a block for counting only */

typedef struct heap_place {
    int block;
    size_t at; /* bytes from its start */
} heap_place;

typedef struct heap_hole {
    heap_place from;
    size_t bytes;
} heap_hole;

/* Starts as {0}. */
typedef struct heap {
    size_t size[HEAP_BLOCKS];
    int blocks;
    heap_hole *hole; /* by rising place; no two of them touch */
    int holes, cap;
    size_t used; /* bytes taken now */
    size_t top;  /* highest end of a piece so far, over blocks laid end to end */
} heap;

void heap_release(heap *h);
/* One more block, behind the others. */
void heap_add(heap *h, size_t bytes);
/* Every piece is given back; `top` starts anew. */
void heap_clear(heap *h);
/* false: no block has room. bytes > 0. */
bool heap_take(heap *h, size_t bytes, heap_place *out);
/* A piece that was taken, with its size. Giving back what is not taken is a BUG. */
void heap_give(heap *h, heap_place p, size_t bytes);
#endif
