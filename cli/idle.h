/* Keys that a call was given and that do nothing in it, by one table: which key acts where which
 * other keys have which values. */
#ifndef CLI_IDLE_H
#define CLI_IDLE_H

#include "cli/cmd.h"

/* Why the key does nothing in this config: "it acts with model.reduction evit, here none"; false:
 * it acts, or no row is about it. */
bool idle_why(const cfg *c, const char *key, text *why);
/* Warn of each such key that a file or --set gave, with a value that is not its default. rooms: the
 * first words of the keys that the verb reads, such as "train model"; NULL: all. What --compat and
 * the files of a published program set is theirs, and is not warned of. */
void idle_warn(const cmd_args *a, const char *rooms);
/* The rows, for tests: keys and condition; NULL behind the last. */
const char *idle_keys(int i);
const char *idle_condition(int i);
#endif
