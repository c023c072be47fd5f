/* Which breast from which direction: codes first, then words, then the way the image hangs.
 * dicom.md 1. */
#include "core/text.h"
#include "dicom/record_part.h"
#include "dicom/views.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define CODES_MAX 16  /* items of one sequence that are looked at */
#define UNPAIRED  'U' /* said to have no side: no other source may invent one */

/* A side from one source: the first source decides, a later one that differs is a conflict. */
static void offer_side(record *r, char side, const char *source, bool weak)
{
    if (!side)
        return;
    if (!r->side) {
        r->side = side;
        text_copy(r->side_source, sizeof(r->side_source), source);
    } else if (!weak && r->side != UNPAIRED && side != UNPAIRED && r->side != side) {
        r->side_conflict = TRI_YES;
    }
}

static char side_letter(const header *h, tag_id id)
{
    char part[32];
    if (!header_part(h, id, 0, part, sizeof(part)))
        return 0;
    if (strcmp(part, "L") == 0 || strcmp(part, "LEFT") == 0)
        return 'L';
    if (strcmp(part, "R") == 0 || strcmp(part, "RIGHT") == 0)
        return 'R';
    if (strcmp(part, "U") == 0)
        return UNPAIRED;
    return strcmp(part, "B") == 0 || strcmp(part, "BOTH") == 0 ? 'B' : 0;
}

static void read_code(const header *item, char code[32], char meaning[128])
{
    header_part(item, TAG_CodeValue, 0, code, 32);
    for (char *p = code; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    header_line(item, TAG_CodeMeaning, meaning, 128);
}

/* Modifiers belong inside the item of the view, but stand at top level, too. */
static void add_modifiers(const header *item, record *r)
{
    for (int i = 0; i < CODES_MAX; i++) {
        header m = header_alone(header_child(item, TAG_ViewModifierCodeSequence, i));
        char code[32], meaning[128];
        if (!m.root)
            break;
        read_code(&m, code, meaning);
        if (code[0] || meaning[0])
            r->modifiers |= views_modifier_of_code(code, meaning);
    }
}

/* Letters of a direction in the patient, LPS axes: the larger part first, parts of less than 15
 * degrees left out. Head or foot always come first: they tell oblique views from CC. */
static void direction_letters(const double v[3], char out[17])
{
    static const char letters[3][2] = {{'L', 'R'}, {'P', 'A'}, {'H', 'F'}};
    static const double smallest = 0.2588; /* sin 15 degrees */
    int order[3] = {2, 0, 1}, n = 0;
    if (fabs(v[1]) > fabs(v[0])) {
        order[1] = 1;
        order[2] = 0;
    }
    for (int i = 0; i < 3; i++)
        if (fabs(v[order[i]]) >= smallest)
            out[n++] = letters[order[i]][v[order[i]] < 0];
    out[n] = '\0';
}

static void read_orientation(const header *h, record *r)
{
    double v[6];
    bool letters = false;
    for (int i = 0; i < 2; i++)
        letters |=
            header_part(h, TAG_PatientOrientation, i, r->orientation[i], sizeof(r->orientation[i]));
    if (letters)
        return;
    for (int i = 0; i < 6; i++)
        if (!header_number(h, TAG_ImageOrientationPatient, i, &v[i]) || fabs(v[i]) > 1.001)
            return;
    direction_letters(v, r->orientation[0]);
    direction_letters(v + 3, r->orientation[1]);
}

/* What PatientOrientation says when nothing else does: the column of a CC view runs to the other
 * side of the body, that of an oblique one to the foot as well. */
static void read_orientation_words(record *r)
{
    const char *row = r->orientation[0], *col = r->orientation[1];
    bool upright = (strcmp(row, "A") == 0 || strcmp(row, "P") == 0) && col[0];
    if (!upright)
        return;
    bool left = strchr(col, 'L') != NULL, right = strchr(col, 'R') != NULL;
    if (left == right)
        return;
    offer_side(r, left ? 'R' : 'L', "PatientOrientation", true);
    if (r->view == VIEW_UNKNOWN && (col[1] == '\0' || col[0] == 'F')) {
        r->view = col[1] == '\0' ? VIEW_CC : VIEW_MLO;
        text_copy(r->view_source, sizeof(r->view_source), "PatientOrientation");
    }
}

static void offer_view(record *r, record_view v, const char *source)
{
    if (v == VIEW_UNKNOWN || (r->view != VIEW_UNKNOWN && r->view != VIEW_OTHER))
        return;
    if (r->view == VIEW_OTHER && v == VIEW_OTHER)
        return;
    r->view = v;
    text_copy(r->view_source, sizeof(r->view_source), source);
}

static void read_view(const header *h, record *r)
{
    header item = header_alone(header_child(h, TAG_ViewCodeSequence, 0));
    char code[32], meaning[128];
    if (item.root) {
        read_code(&item, code, meaning);
        if (code[0] || meaning[0])
            offer_view(r, views_of_code(code, meaning), tag_of(TAG_ViewCodeSequence)->keyword);
        add_modifiers(&item, r);
    }
    add_modifiers(h, r);
}

static void read_words(const header *h, record *r)
{
    static const tag_id words[] = {TAG_ViewPosition, TAG_SeriesDescription, TAG_ProtocolName};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        char line[HEADER_VALUE_MAX];
        views_words found;
        if (!header_line(h, words[i], line, sizeof(line)))
            continue;
        views_of_words(line, words[i] == TAG_ViewPosition, &found);
        offer_view(r, found.view, tag_of(words[i])->keyword);
        /* a protocol is chosen for the whole exam: it never contradicts */
        offer_side(r, found.side, tag_of(words[i])->keyword, words[i] == TAG_ProtocolName);
        if (words[i] == TAG_ViewPosition)
            r->modifiers |= found.modifiers;
    }
}

/* Which part of the breast a mosaic's tile shows. The free text may name a person: only that it is
 * there counts. */
static void read_partial(const header *h, record *r)
{
    static const char *const sections[] = {"SUPERIOR", "INFERIOR",  "MEDIAL", "LATERAL",
                                           "ANTERIOR", "POSTERIOR", "CENTRAL"};
    char line[HEADER_VALUE_MAX];
    size_t n = 0;
    r->partial = header_yes_no(h, TAG_PartialView);
    for (int i = 0; i < CODES_MAX; i++) {
        header item = header_alone(header_child(h, TAG_PartialViewCodeSequence, i));
        if (!item.root)
            break;
        if (r->partial == TRI_UNKNOWN)
            r->partial = TRI_YES;
        header_line(&item, TAG_CodeMeaning, line, sizeof(line));
        for (size_t k = 0; k < COUNT_OF(sections); k++)
            if (text_ieq(line, sections[k]) &&
                n + strlen(sections[k]) + 2 <= sizeof(r->partial_sections))
                n += (size_t)snprintf(r->partial_sections + n, sizeof(r->partial_sections) - n,
                                      "%s%s", n ? " " : "", sections[k]);
    }
    if (r->partial == TRI_UNKNOWN && header_line(h, TAG_PartialViewDescription, line, sizeof(line)))
        r->partial = TRI_YES;
}

void record_view_read(const header *h, record *r)
{
    static const tag_id sides[] = {TAG_ImageLaterality, TAG_FrameLaterality, TAG_Laterality};
    read_view(h, r);
    for (size_t i = 0; i < COUNT_OF(sides); i++)
        offer_side(r, side_letter(h, sides[i]), tag_of(sides[i])->keyword, false);
    read_words(h, r);
    read_orientation(h, r);
    read_orientation_words(r);
    if (r->side == UNPAIRED)
        r->side = 0;
    read_partial(h, r);
}
