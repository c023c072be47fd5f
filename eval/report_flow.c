/* Order of the books by unit, and the joining of small reasons. */
#include "eval/report_flow.h"
#include "core/mem.h"
#include "core/text.h"
#include "eval/disclose.h"
#include "eval/report_text.h"
#include "eval/report_tree.h"

static int64_t number(const json_t *row, const char *key)
{
    return json_integer_value(json_object_get(row, key));
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

/* Which rows are joined; false when their sum would still tell of few. */
static bool choose(const block *b, bool *joined)
{
    int64_t sum = 0, members = 0;
    for (size_t i = b->from; i < b->to; i++) {
        int64_t n = number(json_array_get(b->flow, i), "excluded");
        joined[i] = disclose_few(b->minimum, n);
        sum += joined[i] ? n : 0;
        members += joined[i];
    }
    while (members && sum - members + 1 < b->minimum) { /* at least one in each */
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
        sum += number(json_array_get(b->flow, next), "excluded");
        members++;
    }
    return true;
}

/* Count again from the first row on. */
static void run_through(json_t *flow, size_t from, size_t to, int64_t in)
{
    for (size_t i = from; i < to; i++) {
        json_t *row = json_array_get(flow, i);
        set(row, "n_in", in);
        in -= number(row, "excluded");
        set(row, "n_out", in);
    }
}

static void join(const block *b, const bool *joined)
{
    int64_t in = number(json_array_get(b->flow, b->from), "n_in"), sum = 0;
    size_t kept = b->from, members = 0;
    text steps, reasons, words;
    json_t *last = NULL;
    text_init(&steps);
    text_init(&reasons);
    text_init(&words);
    for (size_t i = b->from; i < b->to; i++) {
        const json_t *row = json_array_get(b->flow, i);
        if (!joined[i])
            continue;
        text_addf(&steps, "%s%s", members ? "; " : "", report_tree_str(row, "step"));
        text_addf(&reasons, "%s%s", members++ ? " " : "", report_tree_str(row, "reason"));
        sum += number(row, "excluded");
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
        set(last, "excluded", sum);
        json_array_set_new(b->flow, kept++, last);
    }
    for (size_t i = kept; i < b->to; i++)
        json_array_remove(b->flow, kept);
    run_through(b->flow, b->from, kept, in);
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
    run_through(b->flow, b->from, b->to, out);
}

void report_flow_join(json_t *flow, int64_t minimum)
{
    for (size_t i = 0; minimum > 1 && i < json_array_size(flow);) {
        block b = block_at(flow, i, minimum);
        bool *joined = MEM_ARRAY(bool, json_array_size(flow) + 1);
        if (choose(&b, joined)) {
            join(&b, joined);
            i = block_at(flow, i, minimum).to;
        } else if (move(&b)) {
            i = 0;
        } else {
            squash(&b);
            i = b.to;
        }
        mem_free(joined);
    }
}
