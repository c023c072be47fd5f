/* Precedence, trimming and number formats of header.h. */
#include "dicom/header.h"

#include "core/text.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

header header_of(const dcm_file *f)
{
    header h = {.root = dcm_root(f), .meta = dcm_meta(f)};
    h.frame = header_child(&h, TAG_PerFrameFunctionalGroupsSequence, 0);
    h.shared = header_child(&h, TAG_SharedFunctionalGroupsSequence, 0);
    return h;
}

header header_alone(const dcm_item *item)
{
    return (header){.root = item};
}

const dcm_item *header_child(const header *h, tag_id id, int i)
{
    const tag *t = tag_of(id);
    return h->root ? dcm_child(h->root, t->group, t->element, i) : NULL;
}

int header_places(const header *h, tag_id id, const dcm_item *out[HEADER_PLACES])
{
    const tag *t = tag_of(id);
    const dcm_item *const groups[] = {h->frame, h->shared};
    const dcm_item *top = t->group == 0x0002 ? h->meta : h->root;
    int n = 0;
    for (size_t i = 0; t->macro_group && i < COUNT_OF(groups); i++) {
        const dcm_item *macro =
            groups[i] ? dcm_child(groups[i], t->macro_group, t->macro_element, 0) : NULL;
        if (macro)
            out[n++] = macro;
    }
    if (top)
        out[n++] = top;
    return n;
}

static void trim(char *s, bool upper)
{
    size_t start = strspn(s, " "), n = strlen(s);
    while (n > start && s[n - 1] == ' ')
        n--;
    n -= start;
    memmove(s, s + start, n);
    s[n] = '\0';
    for (size_t i = 0; upper && i < n; i++)
        s[i] = (char)toupper((unsigned char)s[i]);
}

bool header_value(const header *h, tag_id id, char *out, size_t cap)
{
    const tag *t = tag_of(id);
    const dcm_item *place[HEADER_PLACES];
    int n = header_places(h, id, place);
    for (int i = 0; i < n; i++)
        if (dcm_text(place[i], t->group, t->element, out, cap) && out[strspn(out, " ")])
            return true;
    out[0] = '\0';
    return false;
}

bool header_component(const char *value, int i, bool upper, char *out, size_t cap)
{
    out[0] = '\0';
    for (; i > 0 && value; i--) {
        value = strchr(value, '\\');
        value = value ? value + 1 : NULL;
    }
    if (!value)
        return false;
    size_t n = strcspn(value, "\\");
    n = n < cap ? n : cap - 1;
    memcpy(out, value, n);
    out[n] = '\0';
    trim(out, upper);
    return out[0] != '\0';
}

bool header_part(const header *h, tag_id id, int i, char *out, size_t cap)
{
    char value[HEADER_VALUE_MAX];
    out[0] = '\0';
    return header_value(h, id, value, sizeof(value)) &&
           header_component(value, i, tag_of(id)->type == TAG_CODE, out, cap);
}

bool header_line(const header *h, tag_id id, char *out, size_t cap)
{
    if (!header_value(h, id, out, cap))
        return false;
    trim(out, tag_of(id)->type == TAG_CODE);
    return out[0] != '\0';
}

bool header_identifier(const header *h, tag_id id, char *out, size_t cap)
{
    char value[HEADER_VALUE_MAX];
    out[0] = '\0';
    if (!header_line(h, id, value, sizeof(value)) || strlen(value) >= cap)
        return false;
    text_copy(out, cap, value);
    return true;
}

bool header_number_of(const char *s, double *out)
{
    char buf[64];
    size_t n = strlen(s);
    if (n == 0 || n >= sizeof(buf))
        return false;
    for (size_t i = 0; i <= n; i++)
        buf[i] = s[i] == ',' ? '.' : s[i];
    return text_f64(buf[0] == '+' ? buf + 1 : buf, out) && isfinite(*out);
}

bool header_number(const header *h, tag_id id, int i, double *out)
{
    char part[64];
    return header_part(h, id, i, part, sizeof(part)) && header_number_of(part, out);
}

int header_int(const header *h, tag_id id, int absent)
{
    double v;
    if (!header_number(h, id, 0, &v) || v < INT32_MIN || v > INT32_MAX || v != floor(v))
        return absent;
    return (int)v;
}

double header_positive(const header *h, tag_id id)
{
    double v;
    return header_number(h, id, 0, &v) && v >= 0 ? v : -1;
}

bool header_is(const header *h, tag_id id, const char *wanted)
{
    char part[64];
    return header_part(h, id, 0, part, sizeof(part)) && strcmp(part, wanted) == 0;
}

record_tri header_yes_no(const header *h, tag_id id)
{
    if (header_is(h, id, "YES"))
        return TRI_YES;
    return header_is(h, id, "NO") ? TRI_NO : TRI_UNKNOWN;
}
