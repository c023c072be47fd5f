/* The image pages of a prediction, PRED/pages (docs/formats.md 5): index and pictures, checked as
 * foreign bytes are. What is missing stays absent. */
#ifndef EVAL_PAGES_IN_H
#define EVAL_PAGES_IN_H

#include "core/json.h"

typedef struct report_image {
    char *png; /* owned bytes, a checked PNG signature and header */
    size_t png_len;
    int width, height;
} report_image;

typedef struct pages_in {
    json_t *exams; /* list of {exam_id, why, note, views: [{view, file, sha256, score, mm_per_px,
                      chest_wall, width, height, image: index below, layers}]}; layers as in
                      train/maps.h */
    report_image *image;
    int n;
    int64_t left_out; /* exams of the index that were not read: more than asked for, or too large */
} pages_in;

void pages_in_init(pages_in *p);
void pages_in_release(pages_in *p);
/* dir may be absent. At most max_exams, and no more than a report of 25 MB holds. */
MUST_CHECK bool pages_in_read(pages_in *p, const char *dir, int64_t max_exams, err *e);
/* Class of the patch that a letter stands for: 0 .. , -1 = none. */
int pages_in_class(char letter);
#endif
