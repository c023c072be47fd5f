/* Order of the books by unit, and the joining of small reasons. */
#include "eval/report_flow.h"
#include "core/mem.h"
#include "core/text.h"
#include "eval/disclose.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"

#include <stdio.h>
#include <string.h>

static int64_t number(const json_t *row, const char *key)
{
    return json_integer_value(json_object_get(row, key));
}

static bool known(const json_t *row, const char *key)
{
    return json_is_integer(json_object_get(row, key));
}

static void set(json_t *row, const char *key, int64_t v)
{
    json_object_set_new(row, key, json_integer(v));
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
    return !strcmp(report_tree_str(a, key), report_tree_str(b, key));
}

void report_flow_order(json_t *flow)
{
    static const char *const units[] = {"files", "images", "exams", "women"};
    json_t *sorted = json_array(), *row;
    size_t i;
    for (size_t u = 0; u <= COUNT_OF(units); u++)
        json_array_foreach(flow, i, row)
        {
            size_t rank = 0;
            while (rank < COUNT_OF(units) && strcmp(report_tree_str(row, "unit"), units[rank]))
                rank++;
            if (rank == u)
                json_array_append(sorted, row);
        }
    json_array_clear(flow);
    json_array_extend(flow, sorted);
    json_decref(sorted);
}

/* ---- exams and women behind files ------------------------------------------------------------ */

static const char *const whole_keys[] = {
    "exams_in", "exams_out", "exams_lost", "exams_touched", "exams_part",
    "women_in", "women_out", "women_lost", "women_touched", "women_part"};

/* How many exams and women went with the files, and how many exams lost some of theirs: hidden
 * (null) where it could be of few women. Among `touched` women at most one for each lost exam has
 * no other one. */
static void spell_out(json_t *flow, int64_t minimum)
{
    size_t i;
    json_t *row;
    json_array_foreach(flow, i, row)
    {
        if (!known(row, "exams_in") || !known(row, "women_in"))
            continue;
        const int64_t lost = number(row, "exams_in") - number(row, "exams_out"),
                      part = number(row, "exams_touched") - lost,
                      women = number(row, "women_touched") - lost;
        set(row, "exams_lost", lost);
        set(row, "women_lost", number(row, "women_in") - number(row, "women_out"));
        if (known(row, "women_part")) { /* of the whole flow: counted, not reckoned */
            if (disclose_few(minimum, number(row, "women_part")))
                json_object_set_new(row, "exams_part", json_null());
        } else {
            json_object_set_new(row, "exams_part",
                                part && women < minimum ? json_null() : json_integer(part));
        }
    }
}

/* True when there was something to forget. */
static bool forget_wholes(json_t *flow)
{
    bool any = false;
    size_t i;
    json_t *row;
    json_array_foreach(flow, i, row)
    {
        for (size_t k = 0; k < COUNT_OF(whole_keys); k++)
            any = !json_object_del(row, whole_keys[k]) || any;
    }
    return any;
}

/* What only the joining needed: it would tell more than the rows do. */
static void forget_touched(json_t *flow)
{
    size_t i;
    json_t *row;
    json_array_foreach(flow, i, row)
    {
        json_object_del(row, "exams_touched");
        json_object_del(row, "women_touched");
        json_object_del(row, "women_part");
    }
}

/* ---- one stage of one unit: rows from..to-1 -------------------------------------------------- */

typedef struct block {
    json_t *flow;
    size_t from, to;
    int64_t minimum;
} block;

static block block_at(json_t *flow, size_t from, int64_t minimum)
{
    block b = {flow, from, from + 1, minimum};
    const json_t *first = json_array_get(flow, from);
    while (b.to < json_array_size(flow) && same(first, json_array_get(flow, b.to), "stage") &&
           same(first, json_array_get(flow, b.to), "unit"))
        b.to++;
    return b;
}

typedef struct joined_sum {
    int64_t files, exams, women, members;
} joined_sum;

static void take_in(joined_sum *s, const json_t *row)
{
    s->files += number(row, "excluded");
    s->exams += number(row, "exams_lost");
    s->women += number(row, "women_lost");
    s->members++;
}

/* Reasons that lie in files and machines and tell nothing of a woman's health: how many they are is
 * told, few or not. A code that is not here is private. */
static const char of_files[] =
    " IO_UNREADABLE IO_TRUNCATED NOT_IMAGE DECODER_CRASH DECODER_LIMIT TS_UNSUPPORTED "
    "TS_LIES DEC_FAILED DEC_WARNED PIX_GEOMETRY BITS_LIE BLANK NOT_MG FOR_PROCESSING "
    "SC_CAPTURE SCO_PRIVATE MF_TOMO MF_PROJ SYN_2D QC_IMAGE PHANTOM LOSSY VIEW_UNKNOWN "
    "VIEW_NONSTANDARD LAT_UNKNOWN LAT_BOTH LAT_CONFLICT SEG_FAILED POLARITY_UNCERTAIN "
    "POLARITY_CONFLICT NO_PATIENT_ID NO_STUDY NO_DATE NO_SPACING VENDOR_FILTER DUP_SOP "
    "DUP_PIXEL DUP_VIEW REPEATED_ROW EXPOSURE_ABORTED ";

static bool few(int64_t minimum, const json_t *row)
{
    char word[64];
    snprintf(word, sizeof word, " %s ", report_tree_str(row, "reason"));
    if (strstr(of_files, word))
        return false;
    return disclose_few(minimum, number(row, "excluded")) ||
           disclose_few(minimum, number(row, "women_touched")) ||
           disclose_few(minimum, number(row, "exams_lost")) ||
           disclose_few(minimum, number(row, "women_lost"));
}

/* Would their sum still tell of few? At least one file is in each. */
static bool too_few(int64_t minimum, const joined_sum *s)
{
    return s->members && (s->files - s->members + 1 < minimum || disclose_few(minimum, s->exams) ||
                          disclose_few(minimum, s->women));
}

/* Which rows are joined; false when their sum would still tell of few. */
static bool choose(const block *b, bool *joined)
{
    joined_sum sum = {0};
    for (size_t i = b->from; i < b->to; i++) {
        joined[i] = few(b->minimum, json_array_get(b->flow, i));
        if (joined[i])
            take_in(&sum, json_array_get(b->flow, i));
    }
    while (too_few(b->minimum, &sum)) {
        size_t next = b->to;
        for (size_t i = b->from; i < b->to; i++) {
            int64_t n = number(json_array_get(b->flow, i), "excluded");
            if (!joined[i] && n > 0 &&
                (next == b->to || n < number(json_array_get(b->flow, next), "excluded")))
                next = i;
        }
        if (next == b->to)
            return false;
        joined[next] = true;
        take_in(&sum, json_array_get(b->flow, next));
    }
    return true;
}

typedef struct counted {
    const char *in, *out, *less;
} counted;
static const counted files_of = {"n_in", "n_out", "excluded"};
static const counted wholes_of[] = {{"exams_in", "exams_out", "exams_lost"},
                                    {"women_in", "women_out", "women_lost"}};

/* Count again from the first row on. */
static void run_through(const block *b, size_t to, const counted *c, int64_t in)
{
    for (size_t i = b->from; i < to; i++) {
        json_t *row = json_array_get(b->flow, i);
        if (!known(row, c->in))
            continue;
        set(row, c->in, in);
        in -= number(row, c->less);
        set(row, c->out, in);
    }
}

static void join(const block *b, const bool *joined)
{
    const json_t *first = json_array_get(b->flow, b->from);
    const int64_t in = number(first, "n_in"), exams = number(first, "exams_in"),
                  women = number(first, "women_in");
    joined_sum sum = {0};
    size_t kept = b->from;
    text steps, reasons, words;
    json_t *last = NULL;
    text_init(&steps);
    text_init(&reasons);
    text_init(&words);
    for (size_t i = b->from; i < b->to; i++) {
        const json_t *row = json_array_get(b->flow, i);
        if (!joined[i])
            continue;
        text_addf(&steps, "%s%s", sum.members ? "; " : "", report_tree_str(row, "step"));
        text_addf(&reasons, "%s%s", sum.members ? " " : "", report_tree_str(row, "reason"));
        take_in(&sum, row);
        if (!last)
            last = json_deep_copy(row);
    }
    for (size_t i = b->from; i < b->to; i++)
        if (!joined[i])
            json_array_set(b->flow, kept++, json_array_get(b->flow, i));
    if (last) {
        report_fill(&words, "flow.joined", (const char *const[]){"steps", steps.s, NULL});
        json_object_set_new(last, "step", json_string(words.s));
        json_object_set_new(last, "reason", json_string(reasons.s));
        json_object_set_new(last, "joined", json_true());
        json_object_del(last, "women_touched"); /* of the first alone */
        set(last, "excluded", sum.files);
        if (known(last, "exams_in")) { /* an exam can have lost files for several of the reasons */
            set(last, "exams_lost", sum.exams);
            set(last, "women_lost", sum.women);
            json_object_set_new(last, "exams_part", json_null());
        }
        json_array_set_new(b->flow, kept++, last);
    }
    for (size_t i = kept; i < b->to; i++)
        json_array_remove(b->flow, kept);
    run_through(b, kept, &files_of, in);
    run_through(b, kept, &wholes_of[0], exams);
    run_through(b, kept, &wholes_of[1], women);
    text_release(&steps);
    text_release(&reasons);
    text_release(&words);
}

/* Count a stage with a neighbour of the same unit; false when there is none. */
static bool move(const block *b)
{
    const json_t *first = json_array_get(b->flow, b->from), *beside = NULL;
    if (b->to < json_array_size(b->flow) && same(first, json_array_get(b->flow, b->to), "unit"))
        beside = json_array_get(b->flow, b->to);
    else if (b->from && same(first, json_array_get(b->flow, b->from - 1), "unit"))
        beside = json_array_get(b->flow, b->from - 1);
    for (size_t i = b->from; beside && i < b->to; i++)
        json_object_set_new(json_array_get(b->flow, i), "stage",
                            json_string(report_tree_str(beside, "stage")));
    return beside != NULL;
}

/* Few of a unit: not counted; the flow of the unit begins with what is left. */
static void squash(const block *b)
{
    int64_t out = number(json_array_get(b->flow, b->to - 1), "n_out");
    for (size_t i = b->from; i < b->to; i++) {
        json_t *row = json_array_get(b->flow, i);
        text words;
        text_init(&words);
        if (number(row, "excluded")) {
            report_fill(&words, "flow.few",
                        (const char *const[]){"step", report_tree_str(row, "step"), NULL});
            json_object_set_new(row, "step", json_string(words.s));
        }
        set(row, "excluded", 0);
        text_release(&words);
    }
    run_through(b, b->to, &files_of, out);
}

void report_flow_join(json_t *flow, int64_t minimum)
{
    spell_out(flow, minimum);
    for (size_t i = 0; minimum > 1 && i < json_array_size(flow);) {
        block b = block_at(flow, i, minimum);
        bool *joined = MEM_ARRAY(bool, json_array_size(flow) + 1);
        if (choose(&b, joined)) {
            join(&b, joined);
            i = block_at(flow, i, minimum).to;
        } else if (move(&b) || forget_wholes(flow)) {
            i = 0; /* fewer numbers: what was joined stays joined */
        } else {
            squash(&b);
            i = b.to;
        }
        mem_free(joined);
    }
    forget_touched(flow);
}
