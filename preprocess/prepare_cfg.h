/* The flattened configuration of prepare: a POD that travels to the isolated worker. No pointers;
 * bound from prepare_options and exclude_options by prepare_bind. */
#ifndef PREPROCESS_PREPARE_CFG_H
#define PREPROCESS_PREPARE_CFG_H

#include "preprocess/exclude.h"
#include "preprocess/prepare.h"

/* The order of the values is the order of the choices in prepare_options. */
typedef enum prepare_voi {
    PREPARE_VOI_HEADER, /* a VOI LUT item, else a window, else full range */
    PREPARE_VOI_MINMAX,
    PREPARE_VOI_WINDOW,
    PREPARE_VOI_PERCENTILE,
    PREPARE_VOI_RAW /* full range of the stored bits, no window */
} prepare_voi;
typedef enum prepare_prefer { PREPARE_PREFER_LUT, PREPARE_PREFER_WINDOW } prepare_prefer;
typedef enum prepare_polarity { PREPARE_POLARITY_FIX, PREPARE_POLARITY_HEADER } prepare_polarity;
typedef enum prepare_processing {
    PREPARE_PROCESSING_REFUSE,
    PREPARE_PROCESSING_DEEPLIBRA
} prepare_processing;
typedef enum prepare_fit {
    PREPARE_FIT_SQUASH,
    PREPARE_FIT_LETTERBOX,
    PREPARE_FIT_LONG,
    PREPARE_FIT_MM
} prepare_fit;

#define PREPARE_ITEM_MAX 17 /* bytes of a VOI item's name: what record and pixels keep of it */

struct prepare_cfg {
    int voi, voi_prefer, polarity, fit, processing;
    char voi_item[PREPARE_ITEM_MAX]; /* name or number of the VOI item; "" = NORMAL, else the first
                                      */
    int window_function;             /* record_voi */
    double window_center, window_width;
    double percentile_low, percentile_high; /* percent */
    double mm;                              /* fit mm: canvas pixel size */
    bool crop, erase_outside, mask;
    double margin, margin_mm; /* of the longer side of the breast; in mm where the size is known */
    int64_t shard_mib, memory_mib;
    double seconds;
    int n_sizes, h[PREPARE_SIZES], w[PREPARE_SIZES];
    exclude_cfg exclude;
};

/* ERR_CONFIG names a size or a combination that cannot work. */
MUST_CHECK bool prepare_bind(const cfg *c, prepare_cfg *out, err *e);
#endif
