/* The table of renames, in both directions. */
#include "train/names.h"

#include <stdio.h>
#include <string.h>

#include "core/text.h"

#define PARALLEL "module."

/* '#' stands for a number; what follows the pattern stays. `first` is the lowest number that occurs
 * in theirs, where ours begin at 0: by it a file's layout is told. */
static const struct rename {
    const char *family; /* how names of the network begin that the row is for */
    const char *ours, *theirs;
    int first;
    names_layout layout;
} table[] = {
    {"layers.", "layers.#.downsample.", "layers.#.downsample.", 1, NAMES_TIMM},
    {"layers.", "head.", "head.fc.", 0, NAMES_TIMM},
    {"transformers.", "pools.#.", "transformers.#.pool.", 1, NAMES_TIMM},
    {"transformers.", "pools.#.", "transformers.#.pool.", 0, NAMES_TIMM04},
};

/* The part after the pattern, or NULL; *number is what '#' stands for. */
static const char *match(const char *pattern, const char *name, int *number)
{
    *number = 0;
    for (; *pattern; pattern++) {
        if (*pattern == '#') {
            int digits = 0;
            for (; *name >= '0' && *name <= '9' && digits < 4; name++, digits++)
                *number = 10 * *number + *name - '0';
            if (!digits)
                return NULL;
        } else if (*name++ != *pattern) {
            return NULL;
        }
    }
    return name;
}

static void fill(const char *pattern, int number, const char *rest, char out[NAMES_MAX])
{
    const char *mark = strchr(pattern, '#');
    if (mark)
        snprintf(out, NAMES_MAX, "%.*s%d%s%s", (int)(mark - pattern), pattern, number, mark + 1,
                 rest);
    else
        snprintf(out, NAMES_MAX, "%s%s", pattern, rest);
}

static const char *bare(const char *name)
{
    size_t n = strlen(PARALLEL);
    return strncmp(name, PARALLEL, n) == 0 ? name + n : name;
}

static bool has_family(const names *k, const char *family)
{
    for (int i = 0; i < k->n; i++) {
        if (strncmp(bare(k->name[i]), family, strlen(family)) == 0)
            return true;
    }
    return false;
}

static int lowest(const names *k, const char *pattern)
{
    int low = -1, number;
    for (int i = 0; i < k->n; i++) {
        if (match(pattern, bare(k->name[i]), &number) && (low < 0 || number < low))
            low = number;
    }
    return low;
}

void names_of_file(names *out, const char *const *name, int n)
{
    *out = (names){name, n, 0};
    for (size_t k = 0; k < COUNT_OF(table); k++) {
        if (has_family(out, table[k].family) && lowest(out, table[k].theirs) == table[k].first)
            out->apply |= 1u << k;
    }
}

void names_of_network(names *out, const char *const *name, int n, names_layout layout)
{
    *out = (names){name, n, 0};
    for (size_t k = 0; k < COUNT_OF(table); k++) {
        if (table[k].layout == layout && has_family(out, table[k].family))
            out->apply |= 1u << k;
    }
}

void names_to_ours(const names *file, const char *name, char out[NAMES_MAX])
{
    name = bare(name);
    for (size_t k = 0; k < COUNT_OF(table); k++) {
        int number;
        const char *rest = match(table[k].theirs, name, &number);
        if (rest && file->apply >> k & 1) {
            fill(table[k].ours, number - table[k].first, rest, out);
            return;
        }
    }
    snprintf(out, NAMES_MAX, "%s", name);
}

void names_from_ours(const names *network, const char *name, char out[NAMES_MAX])
{
    for (size_t k = 0; k < COUNT_OF(table); k++) {
        int number;
        const char *rest = match(table[k].ours, name, &number);
        if (rest && network->apply >> k & 1) {
            fill(table[k].theirs, number + table[k].first, rest, out);
            return;
        }
    }
    snprintf(out, NAMES_MAX, "%s", name);
}

bool names_is_buffer(const char *name)
{
    static const char *const ends[] = {".relative_position_index", ".attn_mask"};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        if (text_ends(name, ends[i]))
            return true;
    }
    return false;
}
