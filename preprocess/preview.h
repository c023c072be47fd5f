/* One image for people: what was decided on it and why, and its picture before and after. The
 * worker task runs the very steps of prepare (prepare_judge), goes on after a verdict for as long
 * as there are pixels, and keeps what the steps knew. Drawing (cairo) happens in the program, not
 * in the worker: fonts are files. Hospital side: a picture may show what is burned into it. */
#ifndef PREPROCESS_PREVIEW_H
#define PREPROCESS_PREVIEW_H

#include "core/text.h"
#include "preprocess/prepare_steps.h"

#define PREVIEW_TASK 2    /* beside SCAN_TASK and PREPARE_TASK */
#define PREVIEW_SIDE 1024 /* longest side of a panel's pictures */

typedef enum preview_stage {                 /* the order of preview_stage_find's words */
                             PREVIEW_PANEL,  /* display values, outline and crop beside the prepared
                                                canvas */
                             PREVIEW_STORED, /* stored values, 0 .. 2^BitsStored - 1 */
                             PREVIEW_MODALITY, /* after rescale or modality LUT, over their full
                                                  range */
                             PREVIEW_DISPLAY,  /* after the window and polarity, as stored */
                             PREVIEW_FINAL     /* the prepared canvas */
} preview_stage;
/* "stored", "modality", "display", "final". */
MUST_CHECK bool preview_stage_find(const char *word, preview_stage *out, err *e);

typedef struct preview { /* the reply; pictures follow */
    prepared p;          /* as prepare replies; canvases are there whenever decoded */
    reason_set by_header, by_decoder, by_pixels;
    bool decoded; /* all below is filled */
    pixel_facts facts;
    int window_item; /* window_lut.item */
    bool inverse_by_header, inverted;
    segment_polarity contrast; /* of the picture under the header's polarity */
    segment_source hung_by;
    int chest; /* segment_chest */
    image_orient orient;
    int crop[4];   /* x, y, w, h in stored pixels */
    int ph, pw;    /* picture, stored orientation: at most PREVIEW_SIDE, or full size for a stage */
    uint64_t pic;  /* byte offset of u16 [ph, pw] */
    uint64_t mask; /* of u8 [ph, pw]: inside the breast; 0 = none */
} preview;

size_t preview_task(const void *data, size_t len, const void *arg, size_t arg_len, void *reply,
                    size_t reply_cap);
size_t preview_reply_cap(const cfg *c, preview_stage stage);
void *preview_request(const cfg *c, const record *override_or_null, preview_stage stage,
                      size_t *len); /* mem_free */
/* The reply comes from a process that read foreign bytes: offsets, sizes and codes are checked. */
bool preview_ok(const cfg *c, const void *reply, size_t len);
/* The worker died on the file: the same facts that prepare would record. */
void preview_failed(preview *v, reason why);

/* 8-bit grey PNG of a stage at full size. ERR_INPUT where nothing was decoded. */
MUST_CHECK bool preview_stage_png(const preview *v, preview_stage stage, const char *path, err *e);

/* A sheet of panels, `columns` beside each other; every panel is two pictures of at most `side`
 * pixels and `lines` lines of caption. */
typedef struct preview_sheet preview_sheet;
preview_sheet *preview_sheet_new(int panels, int columns, int side, int lines);
/* Add the next panel. v with its pictures is borrowed for the call; an image that was not decoded
 * leaves its pictures empty. caption: one line per entry, cut to the width. */
void preview_sheet_add(preview_sheet *s, const preview *v, const char *const *caption, int n);
/* PNG with mode 0600, atomic. */
MUST_CHECK bool preview_sheet_write(preview_sheet *s, const char *path, err *e);
void preview_sheet_free(preview_sheet *s);
#endif
