/* The table behind dicom/reason.h: names, sentences and families of the reason codes. */
#include "dicom/reason.h"

#include <stddef.h>
#include <string.h>

_Static_assert(REASON_COUNT <= 128, "reason_set has 128 bits");

typedef struct reason_row {
    const char *name, *sentence;
    char family;
} reason_row;

static const reason_row rows[REASON_COUNT] = {[REASON_NONE] = {"", "", 0},
#define REASON_ROW(f, n, text) [REASON_##n] = {#n, text, (#f)[0]},
                                              REASON_LIST(REASON_ROW)
#undef REASON_ROW
};

static const reason_row *row_of(reason r)
{
    return &rows[(unsigned)r < REASON_COUNT ? r : REASON_NONE];
}

const char *reason_name(reason r)
{
    return row_of(r)->name;
}

const char *reason_sentence(reason r)
{
    return row_of(r)->sentence;
}

char reason_family(reason r)
{
    return row_of(r)->family;
}

reason reason_find(const char *name)
{
    for (int i = 1; i < REASON_COUNT; i++)
        if (strcmp(rows[i].name, name) == 0)
            return (reason)i;
    return REASON_NONE;
}
