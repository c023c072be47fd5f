/* Rows to do, read a little ahead of the workers (prepare_rows.h). */
#include "preprocess/prepare_rows.h"

#include "core/fs.h"
#include "core/mem.h"

void prepare_rows_init(prepare_rows *r, catalog *cat, const char *config_id, int ahead)
{
    memset(r, 0, sizeof *r);
    r->cat = cat;
    text_copy(r->config_id, sizeof r->config_id, config_id);
    r->ahead = ahead;
    r->ring = mem_calloc((size_t)ahead, sizeof *r->ring);
}

void prepare_rows_release(prepare_rows *r)
{
    for (int i = 0; r->ring && i < r->ahead; i++)
        mem_free(r->ring[i].path);
    for (int i = 0; i < r->n_roots; i++)
        mem_free(r->root[i]);
    mem_free(r->ring);
    mem_free(r->root);
    mem_free(r->id);
    memset(r, 0, sizeof *r);
}

void prepare_rows_add(prepare_rows *r, int64_t id)
{
    if (r->n == r->cap) {
        int64_t cap = r->cap ? r->cap * 2 : 1024;
        r->id = mem_realloc(r->id, (size_t)r->cap * sizeof *r->id, (size_t)cap * sizeof *r->id);
        r->cap = cap;
    }
    r->id[r->n++] = id;
}

static const char *root_of(prepare_rows *r, const char *root)
{
    for (int i = r->n_roots - 1; i >= 0; i--)
        if (strcmp(r->root[i], root) == 0)
            return r->root[i];
    r->root = mem_realloc(r->root, (size_t)r->n_roots * sizeof *r->root,
                          ((size_t)r->n_roots + 1) * sizeof *r->root);
    r->root[r->n_roots] = mem_strdup(root);
    return r->root[r->n_roots++];
}

typedef struct choice {
    prepare_rows *r;
    int64_t from, to; /* places in the order */
    prepare_rows_skip *skip;
    void *ctx;
} choice;

static bool choose(void *ctx, const catalog_line *line, err *e)
{
    choice *c = ctx;
    int64_t place = c->r->seen++;
    bool skip =
        place < c->from || place >= c->to || (line->prepared && line->primary != REASON_IO_LOST);
    if (!skip && c->skip && !c->skip(c->ctx, line, &skip, e))
        return false;
    if (skip)
        return true;
    prepare_rows_add(c->r, line->id);
    root_of(c->r, line->root);
    return true;
}

bool prepare_rows_collect(prepare_rows *r, int k, int n, prepare_rows_skip *skip, void *ctx, err *e)
{
    int64_t all = catalog_count(r->cat);
    if (all < 0)
        return err_set(e, ERR_INPUT, "the catalogue cannot be read");
    choice c = {.r = r, .from = all * k / n, .to = all * (k + 1) / n, .skip = skip, .ctx = ctx};
    r->seen = 0;
    return catalog_outline(r->cat, r->config_id, choose, &c, e);
}

bool prepare_rows_mounted(const prepare_rows *r, err *e)
{
    for (int i = 0; i < r->n_roots; i++)
        if (!fs_exists(r->root[i]))
            return err_set(e, ERR_IO,
                           "archive folder %d of %d of this catalogue is not there now; mount it "
                           "and run the same command again",
                           i + 1, r->n_roots);
    return true;
}

static bool take(void *ctx, const catalog_row *row, err *e)
{
    prepare_rows *r = ctx;
    todo *t = prepare_rows_at(r, r->loaded);
    (void)e;
    mem_free(t->path);
    t->id = row->id;
    t->root = root_of(r, row->root);
    t->path = mem_strdup(row->path);
    memcpy(t->patient, row->patient, sizeof t->patient);
    memcpy(t->exam, row->exam, sizeof t->exam);
    memcpy(t->image, row->image, sizeof t->image);
    memcpy(t->facts, row->facts, sizeof t->facts);
    t->scan_reason = row->scan_reason;
    t->rec = row->rec;
    return true;
}

bool prepare_rows_load(prepare_rows *r, int64_t upto, err *e)
{
    for (int64_t end = upto < r->n ? upto : r->n; r->loaded < end; r->loaded++)
        if (!catalog_read(r->cat, r->config_id, r->id[r->loaded], take, r, e))
            return false;
    return true;
}

todo *prepare_rows_at(const prepare_rows *r, int64_t i)
{
    return &r->ring[i % r->ahead];
}
