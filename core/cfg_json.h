/* A bound struct of options as a JSON object and back: for files that must carry what a stage was
 * configured with. Keys are the options' own without their group ("model.depth": "depth"). */
#ifndef CORE_CFG_JSON_H
#define CORE_CFG_JSON_H

#include "core/cfg.h"
#include "core/json.h"

/* `in` is the struct that cfg_bind fills. Options of one value only (no lists), else BUG. */
json_t *cfg_json_make(const cfg_group *g, const void *in);
/* Fills `out`; texts stay borrowed from `o`. What is absent gets its default, so that a file of an
 * older version can be read. A value of another type, out of range, or a key that is no option is
 * ERR_INPUT. */
MUST_CHECK bool cfg_json_read(const cfg_group *g, const json_t *o, void *out, err *e);
#endif
