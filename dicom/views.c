/* Tables of view codes and of words, and a small tokeniser. */
#include "dicom/views.h"

#include "core/text.h"

#include <ctype.h>
#include <string.h>

#define WORDS_MAX 1024
#define TOKEN_MAX 16 /* letters of a view word with its suffixes */

typedef struct view_row {
    record_view view;
    const char *codes[2]; /* SCT, SRT or SNM3 */
    const char *meaning;  /* letters only, lower case */
} view_row;
static const view_row views[] = {
    {VIEW_CC, {"399162004", "R-10242"}, "craniocaudal"},
    {VIEW_MLO, {"399368009", "R-10226"}, "mediolateraloblique"},
    {VIEW_ML, {"399260004", "R-10224"}, "mediolateral"},
    {VIEW_LM, {"399352003", "R-10228"}, "lateromedial"},
    {VIEW_LMO, {"399099002", "R-10230"}, "lateromedialoblique"},
    {VIEW_XCCL, {"399192008", "R-1024A"}, "craniocaudalexaggeratedlaterally"},
    {VIEW_XCCL, {"399192008", "R-1024A"}, "exaggeratedcraniocaudallaterally"},
    {VIEW_XCCM, {"399101009", "R-1024B"}, "craniocaudalexaggeratedmedially"},
    {VIEW_XCCM, {"399101009", "R-1024B"}, "exaggeratedcraniocaudalmedially"},
    {VIEW_FB, {"399196006", "R-10244"}, "caudocranial"},
    {VIEW_FB, {"399196006", "R-10244"}, "caudocranialfrombelow"},
    {VIEW_SIO, {"399188001", "R-102D0"}, "superolateraltoinferomedialoblique"},
    {VIEW_SIO, {"399188001", "R-102D0"}, "superolateraltoinferomedial"},
    {VIEW_ISO, {"441555000", "R-40AAA"}, "inferomedialtosuperolateraloblique"},
    {VIEW_SPECIMEN, {"127457009", "G-8310"}, "tissuespecimenfrombreast"},
    {VIEW_SPECIMEN, {"127457009", "G-8310"}, "specimenfrombreast"},
};

typedef struct modifier_row {
    uint32_t bit;
    const char *codes[2];
    const char *meaning;
} modifier_row;
#define OTHER(name) (MODIFIER_OTHER | MODIFIER_##name)
static const modifier_row modifiers[] = {
    {MODIFIER_IMPLANT_DISPLACED, {"399209000", "R-102D5"}, "implantdisplaced"},
    {MODIFIER_MAGNIFICATION, {"399163009", "R-102D6"}, "magnification"},
    {MODIFIER_SPOT, {"399055006", "R-102D7"}, "spotcompression"},
    {MODIFIER_SPOT, {"399055006", "R-102D7"}, "spot"},
    {OTHER(CLEAVAGE), {"399161006", "R-102D2"}, "cleavage"},
    {OTHER(AXILLARY_TAIL), {"399011000", "R-102D1"}, "axillarytail"},
    {OTHER(AXILLARY_TISSUE), {"442580003", "R-40AB2"}, "axillarytissue"},
    {OTHER(TANGENTIAL), {"399110001", "R-102C2"}, "tangential"},
    {OTHER(ANTERIOR_COMPRESSION), {"441752004", "P2-00161"}, "anteriorcompression"},
    {OTHER(NIPPLE_IN_PROFILE), {"442581004", "R-40AB3"}, "nippleinprofile"},
    {OTHER(INFRAMAMMARY_FOLD), {"442593008", "R-40ABE"}, "inframammaryfold"},
    {OTHER(ROLLED), {"399197002", NULL}, "rolledlateral"},
    {OTHER(ROLLED), {"399226006", NULL}, "rolledmedial"},
    {OTHER(ROLLED), {"415670009", NULL}, "rolledsuperior"},
    {OTHER(ROLLED), {"414493004", NULL}, "rolledinferior"},
};

/* Words that stand for a view; longer ones first, so that a prefix never wins. */
typedef struct view_word {
    const char *word;
    record_view view;
    bool anywhere; /* unmistakable in a description too */
} view_word;
static const view_word view_words[] = {
    {"XCCL", VIEW_XCCL, true}, {"XCCM", VIEW_XCCM, true}, {"XCC", VIEW_XCCL, true},
    {"MLO", VIEW_MLO, true},   {"LMO", VIEW_LMO, true},   {"SIO", VIEW_SIO, false},
    {"ISO", VIEW_ISO, false},  {"CC", VIEW_CC, true},     {"ML", VIEW_ML, true},
    {"LM", VIEW_LM, true},     {"FB", VIEW_FB, false},
};

typedef struct suffix_word {
    const char *word;
    uint32_t bit;
    bool alone; /* a word of its own in ViewPosition */
} suffix_word;
static const suffix_word suffixes[] = {
    {"ID", MODIFIER_IMPLANT_DISPLACED, true},
    {"SPOT", MODIFIER_SPOT, true},
    {"SPT", MODIFIER_SPOT, true},
    {"MAG", MODIFIER_MAGNIFICATION, true},
    {"TAN", OTHER(TANGENTIAL), true},
    {"NP", OTHER(NIPPLE_IN_PROFILE), true},
    {"AC", OTHER(ANTERIOR_COMPRESSION), true},
    {"IMF", OTHER(INFRAMAMMARY_FOLD), true},
    {"AT", OTHER(AXILLARY_TAIL), true},
    {"CV", OTHER(CLEAVAGE), true},
    {"RL", OTHER(ROLLED), false},
    {"RM", OTHER(ROLLED), false},
    {"RS", OTHER(ROLLED), false},
    {"RI", OTHER(ROLLED), false},
};

typedef struct flag_row {
    uint32_t flag;
    const char *phrase; /* upper case, words separated by one space */
} flag_row;
static const flag_row flag_rows[] = {
    {TEXT_STEREO, "STEREO"},
    {TEXT_STEREO, "STEREOTACTIC"},
    {TEXT_STEREO, "STEREOTAXIC"},
    {TEXT_STEREO, "STX"},
    {TEXT_BIOPSY, "BIOPSY"},
    {TEXT_BIOPSY, "BIOPSIES"},
    {TEXT_BIOPSY, "BX"},
    {TEXT_BIOPSY, "NEEDLE"},
    {TEXT_WIRE, "WIRE"},
    {TEXT_WIRE, "HOOKWIRE"},
    {TEXT_WIRE, "LOC"},
    {TEXT_WIRE, "LOCALIZATION"},
    {TEXT_WIRE, "LOCALISATION"},
    {TEXT_CLIP, "CLIP"},
    {TEXT_CLIP, "CLIPS"},
    {TEXT_CLIP, "POSTCLIP"},
    {TEXT_CLIP, "POST MARKER"},
    {TEXT_SPECIMEN, "SPECIMEN"},
    {TEXT_SPECIMEN, "SPECIMENS"},
    {TEXT_PHANTOM, "PHANTOM"},
    {TEXT_QC, "QC"},
    {TEXT_QC, "QA"},
    {TEXT_QC, "TEST"},
    {TEXT_QC, "ACR"},
    {TEXT_QC, "FLAT"},
    {TEXT_QC, "FLATFIELD"},
    {TEXT_QC, "DAILY"},
    {TEXT_SPOT, "SPOT"},
    {TEXT_SPOT, "SPT"},
    {TEXT_MAG, "MAG"},
    {TEXT_MAG, "MAGNIFICATION"},
    {TEXT_MAG, "MAGNIFIED"},
    {TEXT_CAD, "CAD"},
    {TEXT_SYNTHETIC, "C VIEW"},
    {TEXT_SYNTHETIC, "CVIEW"},
    {TEXT_SYNTHETIC, "S VIEW"},
    {TEXT_SYNTHETIC, "V PREVIEW"},
    {TEXT_SYNTHETIC, "INSIGHT 2D"},
    {TEXT_SYNTHETIC, "INTELLIGENT 2D"},
    {TEXT_SYNTHETIC, "SYNTHETIC"},
    {TEXT_TOMO, "TOMO"},
    {TEXT_TOMO, "TOMOSYNTHESIS"},
    {TEXT_TOMO, "DBT"},
};

static void letters_only(const char *s, char *out, size_t cap)
{
    size_t n = 0;
    for (; *s && n + 1 < cap; s++)
        if (isalpha((unsigned char)*s))
            out[n++] = (char)tolower((unsigned char)*s);
    out[n] = '\0';
}

record_view views_of_code(const char *code, const char *meaning)
{
    char words[64];
    letters_only(meaning, words, sizeof(words));
    for (size_t i = 0; i < COUNT_OF(views); i++)
        if (strcmp(code, views[i].codes[0]) == 0 || strcmp(code, views[i].codes[1]) == 0)
            return views[i].view;
    for (size_t i = 0; i < COUNT_OF(views); i++)
        if (strcmp(words, views[i].meaning) == 0)
            return views[i].view;
    return VIEW_OTHER;
}

uint32_t views_modifier_of_code(const char *code, const char *meaning)
{
    char words[64];
    letters_only(meaning, words, sizeof(words));
    for (size_t i = 0; i < COUNT_OF(modifiers); i++)
        if (strcmp(code, modifiers[i].codes[0]) == 0 ||
            (modifiers[i].codes[1] && strcmp(code, modifiers[i].codes[1]) == 0))
            return modifiers[i].bit;
    for (size_t i = 0; i < COUNT_OF(modifiers); i++)
        if (strcmp(words, modifiers[i].meaning) == 0)
            return modifiers[i].bit;
    return MODIFIER_OTHER;
}

static bool all_digits(const char *s)
{
    return *s && s[strspn(s, "0123456789")] == '\0';
}

/* Nothing but suffixes, one after the other, or a counter: "", "ID", "SPOTMAG", "2". */
static bool take_suffixes(const char *s, uint32_t *bits)
{
    *bits = 0;
    if (!*s || all_digits(s))
        return true;
    for (size_t k = 0; k < COUNT_OF(suffixes); k++) {
        size_t n = strlen(suffixes[k].word);
        uint32_t more;
        if (strncmp(s, suffixes[k].word, n) == 0 && take_suffixes(s + n, &more)) {
            *bits = suffixes[k].bit | more;
            return true;
        }
    }
    return false;
}

/* View word and suffixes, such as "MLOID" or "CC2". */
static bool view_token(const char *token, bool position, views_words *out)
{
    uint32_t bits;
    if (strlen(token) > TOKEN_MAX)
        return false;
    for (size_t i = 0; i < COUNT_OF(view_words); i++) {
        const view_word *v = &view_words[i];
        size_t n = strlen(v->word);
        if (strncmp(token, v->word, n) != 0 || (!position && !v->anywhere) ||
            !take_suffixes(token + n, &bits))
            continue;
        out->view = v->view;
        out->modifiers = bits;
        return true;
    }
    if (!position)
        return false;
    for (size_t k = 0; k < COUNT_OF(suffixes); k++)
        if (suffixes[k].alone && strcmp(token, suffixes[k].word) == 0) {
            out->modifiers = suffixes[k].bit;
            return true;
        }
    return false;
}

static bool read_token(const char *token, bool position, views_words *out)
{
    static const struct {
        const char *word;
        char side;
    } sides[] = {{"L", 'L'}, {"R", 'R'}, {"LT", 'L'}, {"RT", 'R'}, {"LEFT", 'L'}, {"RIGHT", 'R'}};
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < COUNT_OF(sides); i++)
        if (strcmp(token, sides[i].word) == 0) {
            out->side = sides[i].side;
            return true;
        }
    if (view_token(token, position, out))
        return true;
    if ((token[0] == 'L' || token[0] == 'R') && view_token(token + 1, position, out)) {
        out->side = token[0];
        return true;
    }
    return false;
}

void views_of_words(const char *words, bool position, views_words *out)
{
    char buf[WORDS_MAX];
    bool many_views = false, many_sides = false;
    memset(out, 0, sizeof(*out));
    text_words(words, true, buf, sizeof(buf));
    for (char *p = buf + 1; *p;) {
        char *end = strchr(p, ' ');
        if (!end)
            break;
        *end = '\0';
        views_words one;
        if (read_token(p, position, &one)) {
            many_views |= one.view && out->view && one.view != out->view;
            many_sides |= one.side && out->side && one.side != out->side;
            out->view = one.view ? one.view : out->view;
            out->side = one.side ? one.side : out->side;
            out->modifiers |= one.modifiers;
        }
        p = end + 1;
    }
    if (many_views)
        out->view = VIEW_UNKNOWN;
    if (many_sides)
        out->side = 0;
}

uint32_t views_text_flags(const char *words, uint32_t wanted)
{
    char buf[WORDS_MAX];
    uint32_t found = 0;
    text_words(words, true, buf, sizeof(buf));
    for (size_t i = 0; i < COUNT_OF(flag_rows); i++)
        if (flag_rows[i].flag & wanted & ~found && text_has_words(buf, flag_rows[i].phrase))
            found |= flag_rows[i].flag;
    /* "needle localisation" is a wire, not a biopsy */
    if (strstr(buf, " NEEDLE LOC") && !strstr(buf, " BIOPSY ") && !strstr(buf, " BX "))
        found &= ~(uint32_t)TEXT_BIOPSY;
    return found;
}
