/* prepare: the pure prepare_image() and the stage that runs it over a catalogue (design.md 1).
 * bytes of one file + config -> facts, canvases, verdict; nothing else goes in or comes out, so
 * `prepare` and `predict --dicom` give the same pixels by construction. */
#ifndef PREPROCESS_PREPARE_H
#define PREPROCESS_PREPARE_H

#include "core/cfg.h"
#include "dicom/record.h"
#include "dicom/scan.h"

#define PREPARE_SIZES 4

/* Bound from prepare_options ("prepare.*"), flattened to a POD that travels to the worker. */
typedef struct prepare_cfg prepare_cfg; /* complete in preprocess/prepare_cfg.h */
extern const cfg_group prepare_options;
extern const cfg_group exclude_options;

/* First 16 hex digits of the hash of everything that decides pixels or verdicts. */
void prepare_id(const cfg *c, char out[17]);
/* The same keys as YAML text, carried by shards and checkpoints. */
void prepare_yaml(const cfg *c, text *out);

/* Canvas sizes of "prepare.sizes", largest index = PREPARE_SIZES - 1. */
MUST_CHECK bool prepare_sizes(const cfg *c, int *n, int *h, int *w, err *e);
/* STORE/prep/<id>/<HxW>/NNNNN.h5; owned by the caller (mem_free). */
char *prepare_shard_path(const char *store, const char *id, int h, int w, int number);

/* FOLDER/<HxW>/NNNNN.h5, the same inside the folder of one preparation or part. */
char *prepare_shard_in(const char *folder, int h, int w, int number);

/* ERR_CONFIG names a size or a combination of keys that cannot work. Call before the rest. */
MUST_CHECK bool prepare_check(const cfg *c, err *e);

typedef struct prepared {
    record rec;
    reason primary;     /* REASON_NONE = usable */
    reason_set reasons; /* everything that hit or was noticed */
    char file_hash[33], pixel_hash[33];
    int n_sizes, h[PREPARE_SIZES], w[PREPARE_SIZES];
    float affine[PREPARE_SIZES][6]; /* stored pixel -> canvas pixel */
    int flip_h, flip_v;
    uint32_t proc_flags;                                     /* image.h IMAGE_* */
    float noise;                                             /* of the breast; 0 unknown */
    uint32_t breast_pixels[PREPARE_SIZES];                   /* on the canvas */
    double sum_all[PREPARE_SIZES], sumsq_all[PREPARE_SIZES]; /* over [0,1] values */
    double sum_breast[PREPARE_SIZES], sumsq_breast[PREPARE_SIZES];
    double mm_per_px[PREPARE_SIZES];
    uint64_t image_at[PREPARE_SIZES]; /* byte offset of the u16 canvas in the reply */
    uint64_t mask_at[PREPARE_SIZES];  /* of its u8 mask; 0 = not asked for */
} prepared;

/* init of worker task PREPARE_TASK: codecs, OpenCV. */
void prepare_init(void);
/* Worker task: pure. data/len: the file; arg: prepare_arg; reply: prepared + canvases. */
size_t prepare_image_task(const void *data, size_t len, const void *arg, size_t arg_len,
                          void *reply, size_t reply_cap);
size_t prepare_reply_cap(const cfg *c);
/* Build the request for one file (facts already completed by a sidecar go along as override). */
void *prepare_request(const cfg *c, const record *override_or_null, size_t *len); /* mem_free */

/* True for reasons that say "broken", not "unsuitable": the books keep failed apart. */
bool prepare_failed(reason r);

typedef struct prepare_opts {
    const char *store;
    const cfg *config;
    int threads;
    int shard_k, shard_n; /* 0, 1 = everything; otherwise one part, kept apart until the merge */
    bool force;
    bool merge; /* join the finished parts instead of decoding */
} prepare_opts;
typedef struct prepare_result {
    int64_t seen, kept, excluded, failed; /* of the store; of the part with shard_n > 1 */
    char config_id[17];
} prepare_result;
/* Resumable. A part takes images number N k/n up to N (k+1)/n of the catalogue's order and writes
 * below STORE/parts/<id>/k-of-n only; the merge packs what the parts hold into the shards that one
 * run would have written, byte by byte, and removes the parts. */
MUST_CHECK bool prepare_run(const prepare_opts *o, prepare_result *out, err *e);
#endif
