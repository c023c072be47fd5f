/* What piece.cu and graph.cu share: the list of a piece's calls, and the graphs made of lists. */
#ifndef MODEL_CUDA_PIECE_CUH
#define MODEL_CUDA_PIECE_CUH

#include "model/cuda/cuda.cuh"

/* Calls with their arguments, one after the other; equal bytes are equal work. */
struct cuda_list {
    char *data;
    size_t size, cap;
    int calls;
};

void cuda_list_run(cuda *c, const cuda_list *l);

/* Graphs of the lists that were met most recently. */
struct cuda_graph_cache;
cuda_graph_cache *cuda_graph_cache_new(int most);
void cuda_graph_cache_free(cuda_graph_cache *g);
/* The list's work on the backend's stream: a list that is known as one graph; one that comes for
 * the second time is captured; anything else call by call, which also lets the libraries make their
 * plans and load their kernels outside of a capture. */
void cuda_graph_run(cuda *c, cuda_graph_cache *g, const cuda_list *l);
backend_graphed cuda_graph_counted(const cuda_graph_cache *g);

#endif
