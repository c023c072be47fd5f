/* The books of prepare: flow.json and exclusions.csv of a store (docs/formats.md). */
#ifndef PREPROCESS_PREPARE_BOOKS_H
#define PREPROCESS_PREPARE_BOOKS_H

#include "dicom/catalog.h"
#include "preprocess/prepare.h"

/* Count every row of the catalogue under the prepare config `id` and write STORE/flow.json and
 * STORE/exclusions.csv. seen = kept + excluded + failed, or BUG. Fails ERR_MISMATCH when a row has
 * no verdict. */
MUST_CHECK bool prepare_books(catalog *c, const char *store, const char *id, prepare_result *out,
                              err *e);
#endif
