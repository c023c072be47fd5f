/* The table of tags.h as data. */
#include "dicom/tags.h"

static const tag tags[TAG_COUNT] = {
#define TAG_ROW(id, g, e, t, mg, me, why) [TAG_##id] = {#id, g, e, TAG_##t, mg, me, why},
    TAG_LIST(TAG_ROW)
#undef TAG_ROW
};

const tag *tag_of(tag_id id)
{
    return &tags[(unsigned)id < TAG_COUNT ? id : 0];
}
