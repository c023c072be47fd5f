/* The table of parts. */
#include "eval/part.h"

#define PART_ROW(name) &part_##name,
static const report_part *const parts[] = {PART_LIST(PART_ROW)};

const report_part *part_at(int i)
{
    return i < (int)COUNT_OF(parts) ? parts[i] : NULL;
}
