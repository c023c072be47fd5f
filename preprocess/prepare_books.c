/* The books of prepare: what became of every file, from the catalogue (prepare_books.h). */
#include "preprocess/prepare_books.h"

#include "core/csv.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/mem.h"
#include "preprocess/exclude.h"
#include "preprocess/wholes.h"

typedef struct books {
    int64_t seen, kept, primary[REASON_COUNT], flagged[REASON_COUNT];
    int step[REASON_COUNT]; /* place of a reason in the order of judgement */
    wholes files;
    csv_writer *csv;
} books;

static bool count_row(void *ctx, const catalog_row *r, err *e)
{
    books *b = ctx;
    text t;
    b->seen++;
    if (!r->prepared)
        return err_set(e, ERR_MISMATCH,
                       "prepare: a row of the catalogue has no verdict; was a scan running?");
    for (int k = 1; k < REASON_COUNT; k++)
        b->flagged[k] += (reason)k != r->primary && reason_has(&r->reasons, (reason)k);
    wholes_add(&b->files, wholes_name(r->exam), wholes_name(r->patient),
               r->primary == REASON_NONE ? WHOLES_KEPT : b->step[r->primary]);
    if (r->primary == REASON_NONE) {
        b->kept++;
        return true;
    }
    b->primary[r->primary]++;
    csv_put(b->csv, r->image);
    csv_put(b->csv, r->exam);
    csv_put(b->csv, r->patient);
    csv_put_i64(b->csv, r->id);
    csv_put(b->csv, reason_name(r->primary));
    csv_put(b->csv, reason_sentence(r->primary));
    text_init(&t);
    for (int k = 1; k < REASON_COUNT; k++)
        if (reason_has(&r->reasons, (reason)k))
            text_addf(&t, "%s%s", t.len ? ";" : "", reason_name((reason)k));
    csv_put(b->csv, t.s);
    text_release(&t);
    csv_end_row(b->csv);
    return true;
}

/* Reasons in the order of judgement: what broke first, then the table of exclude.h, then the rest.
 */
static int reason_order(reason out[REASON_COUNT])
{
    bool used[REASON_COUNT] = {false};
    int n = 0;
    for (int k = 1; k < REASON_COUNT; k++)
        if (prepare_failed((reason)k))
            used[out[n++] = (reason)k] = true;
    for (int i = 0; i < EXCLUDE_ROWS; i++)
        if (!used[exclude_code(i)])
            used[out[n++] = exclude_code(i)] = true;
    for (int k = 1; k < REASON_COUNT; k++)
        if (!used[k])
            out[n++] = (reason)k;
    return n;
}

static bool write_flow(const char *store, const char *id, books *b, prepare_result *out, err *e)
{
    reason order[REASON_COUNT];
    wholes_step whole[REASON_COUNT];
    int n = reason_order(order);
    const wholes_total all = wholes_count(&b->files, whole, n);
    int64_t left = b->seen, exams = all.exams, women = all.women;
    json_t *steps = json_array();
    for (int i = 0; i < n; i++) {
        reason k = order[i];
        if (!b->primary[k] && !b->flagged[k])
            continue;
        left -= b->primary[k];
        *(prepare_failed(k) ? &out->failed : &out->excluded) += b->primary[k];
        json_t *step = json_pack("{s:s,s:s,s:b,s:I,s:I,s:I}", "reason", reason_name(k), "sentence",
                                 reason_sentence(k), "failed", (int)prepare_failed(k), "removed",
                                 (json_int_t)b->primary[k], "also_noticed",
                                 (json_int_t)b->flagged[k], "left", (json_int_t)left);
        wholes_put(step, &whole[i], &exams, &women);
        json_array_append_new(steps, step);
    }
    if (left != b->kept || b->seen != b->kept + out->excluded + out->failed)
        BUG("prepare: the books do not balance");
    out->seen = b->seen;
    out->kept = b->kept;
    json_t *j = json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "stage", "prepare",
                          "prepare_id", id, "seen", (json_int_t)b->seen, "kept",
                          (json_int_t)b->kept, "excluded", (json_int_t)out->excluded, "failed",
                          (json_int_t)out->failed, "exams", (json_int_t)all.exams, "women",
                          (json_int_t)all.women, "exams_part", (json_int_t)all.exams_part,
                          "women_part", (json_int_t)all.women_part, "steps", steps);
    if (!j)
        BUG("prepare: flow.json");
    char *path = fs_join(store, "flow.json");
    bool ok = json_write(path, j, true, e);
    mem_free(path);
    json_decref(j);
    return ok;
}

bool prepare_books(catalog *c, const char *store, const char *id, prepare_result *out, err *e)
{
    static const char *const columns[] = {"image",  "exam",     "patient",    "file",
                                          "reason", "sentence", "all_reasons"};
    books b;
    reason order[REASON_COUNT];
    memset(&b, 0, sizeof b);
    for (int i = reason_order(order); i-- > 0;)
        b.step[order[i]] = i;
    char *path = fs_join(store, "exclusions.csv");
    b.csv = csv_create(path, e);
    mem_free(path);
    if (!b.csv)
        return false;
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        csv_put(b.csv, columns[i]);
    csv_end_row(b.csv);
    bool ok = catalog_each(c, id, count_row, &b, e);
    if (!ok)
        csv_discard(b.csv);
    ok = ok && csv_commit(b.csv, e) && write_flow(store, id, &b, out, e);
    wholes_release(&b.files);
    return ok;
}
