/* PRED/pages: the views of chosen exams as plain pictures at one physical scale, the maps that may
 * be laid over them as data, and their index (docs/formats.md 5). Pseudonyms only. */
#ifndef TRAIN_PAGES_H
#define TRAIN_PAGES_H

#include "core/json.h"
#include "train/loader.h"
#include "train/page_choice.h"

typedef struct pages_spec { /* all borrowed */
    page_scored scored;     /* score: of the images */
    int exams;              /* how many */
    uint64_t seed;          /* of those that are drawn at random */
    int side;               /* px, of the longest picture */
    int patch;              /* px of the canvas; pictures end at its multiples */
    const json_t *layers;   /* image -> list of layers (maps.h), or NULL */
} pages_spec;
/* Replaces dir. A pure function of its arguments. */
MUST_CHECK bool pages_write(const char *dir, loader *l, const pages_spec *s, err *e);
/* Which of the rows belong to these exams: chosen[scored.n], in the order of row. */
void pages_choose(const pages_spec *s, bool *chosen);

#define PAGES_FORMAT "mammovit.pages/2"
/* An index that is of this format. */
MUST_CHECK bool pages_index_read(const char *path, json_t **index, err *e);
/* One more picture in an index, under its exam: for whoever adds to one. */
void pages_index_add(json_t *index, const char *exam, const char *note, json_t *view);
/* "RCC", "LMLO", "L" for a view that is neither CC nor MLO. */
const char *pages_view_name(char side, char view);
#endif
