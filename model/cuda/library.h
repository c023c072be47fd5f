/* NVIDIA's libraries, opened when a card is used: a program that was built with CUDA starts on any
 * machine. */
#ifndef MODEL_CUDA_LIBRARY_H
#define MODEL_CUDA_LIBRARY_H

#include "core/err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the toolkit keeps its libraries, besides the loader's own path; the environment variable
 * MAMMOVIT_CUDA_LIBS names another folder, which is asked first. */
#define LIBRARY_FOLDER "/usr/local/cuda/lib64"

/* A handle of dlopen for "libcublasLt.so.13" and the like, never closed. ERR_CONFIG names the
 * places that were asked. */
void *library_open(const char *name, err *e);
/* The function of this name into *fn (a pointer to a function pointer). */
MUST_CHECK bool library_symbol(void *library, const char *name, void *fn, err *e);

#ifdef __cplusplus
}
#endif
#endif
