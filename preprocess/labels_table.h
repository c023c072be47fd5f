/* Private to the labels: the table behind labels.h, shared with the books that are kept of it. */
#ifndef PREPROCESS_LABELS_TABLE_H
#define PREPROCESS_LABELS_TABLE_H

#include "preprocess/import.h"
#include "preprocess/labels.h"

typedef struct labels_pair { /* of labels.id: map:FILE */
    char *from, *to;
} labels_pair;

typedef struct labels_miss { /* an image without a row */
    int64_t file;
    char image[33], exam[33], patient[33];
    char *key; /* owned; NULL = the image lacks the id */
} labels_miss;

struct labels {
    mapping *map;
    importer *im;
    label *row; /* sorted by key */
    int64_t n;
    int64_t *member; /* rows of the first table in the order of labels */
    labels_pair *pair;
    int64_t n_pairs, cap_pairs;
    bool paired;
    unsigned normalise;
    labels_miss *miss;
    int64_t n_misses, cap_misses;
    int64_t asked; /* images that were looked up */
    labels_scope scope;
    bool knows_breast, has_split;
};

/* The text that image and row share; false = the image lacks a part of it. */
bool labels_key_of_image(const labels *l, const catalog_row *image, text *out);
#endif
