/* The steps of prepare on one image, for those who look at more than the verdict: the tasks of the
 * isolated worker, prepare and preview. */
#ifndef PREPROCESS_PREPARE_STEPS_H
#define PREPROCESS_PREPARE_STEPS_H

#include "preprocess/chain.h"

/* The request of PREPARE_TASK and PREVIEW_TASK. */
typedef struct prepare_arg {
    uint32_t magic;
    int has_override;
    int stage; /* preview_stage; unused by prepare */
    prepare_cfg cfg;
    record override;
} prepare_arg;
/* Byte offsets of canvases and masks behind a reply's head, in image_at and mask_at; returns the
 * end. */
size_t prepare_layout(const prepare_cfg *c, size_t head, prepared *out);

/* One image from its bytes to its verdict, with what was found on the way. */
typedef struct prepare_steps {
    const prepare_arg *q;
    arena *a;
    prepared *out; /* primary, reasons and all else are filled */
    void *reply;   /* canvases at out->image_at */
    bool look;     /* go on after a verdict for as long as there are pixels to look at */
    /* results; the reasons of out by who gave them */
    reason_set by_header, by_decoder, by_pixels;
    bool decoded; /* px, facts and chain are filled */
    pixels px;
    pixel_facts facts;
    chain chain;
} prepare_steps;
/* s: the first five are set, the rest is zero. False: left out. */
bool prepare_judge(prepare_steps *s, const void *data, size_t len);
/* The fixed part of a reply, from a request of the right size; BUG otherwise. */
void prepare_open(const prepare_arg *q, size_t arg_len, const void *data, size_t len,
                  prepared *out);
#endif
