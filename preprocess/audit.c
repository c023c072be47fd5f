/* Contact sheets (audit.h): one walk over the catalogue counts and chooses, then every chosen image
 * is looked at again by the preview task in an isolated worker, one sheet per thread. */
#include "preprocess/audit.h"

#include <sys/stat.h>

#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/worker.h"
#include "dicom/catalog.h"
#include "dicom/pseudo.h"
#include "preprocess/preview.h"

#define SIDE    384 /* of one picture */
#define COLUMNS 3
#define LINES   2
#define NAME    12 /* characters of the pseudonym in a caption */

typedef struct pick { /* an image for a sheet */
    char order[33], image[33], file_hash[33];
    char *path;    /* owned */
    record *facts; /* owned */
    reason_set reasons;
} pick;

typedef struct sheet { /* of one code; index REASON_NONE: kept images */
    int64_t out, noticed;
    pick *pick; /* sorted by order */
    int n, shown;
    err why; /* of the thread that drew it */
    bool ok;
} sheet;

typedef struct job {
    const audit_opts *o;
    prepare_cfg cfg;
    pseudo *key;
    char id[17], *folder;
    int64_t seen, judged;
    sheet sheet[REASON_COUNT];
    worker **worker;
    int n_workers;
} job;

static const char *sheet_name(int code)
{
    return code == REASON_NONE ? "KEPT" : reason_name((reason)code);
}

/* ---- choosing -------------------------------------------------------------------------------- */

static void pick_release(pick *p)
{
    mem_free(p->path);
    mem_free(p->facts);
}

static void choose(job *j, int code, const catalog_row *r)
{
    sheet *s = &j->sheet[code];
    char value[80], order[33];
    int most = j->o->images, at;
    snprintf(value, sizeof value, "%s|%s", sheet_name(code), r->image);
    pseudo_name(j->key, "audit", value, order);
    if (s->n == most && strcmp(order, s->pick[most - 1].order) >= 0)
        return;
    if (!s->pick)
        s->pick = MEM_ARRAY(pick, most);
    if (s->n == most)
        pick_release(&s->pick[--s->n]);
    for (at = s->n; at > 0 && strcmp(order, s->pick[at - 1].order) < 0; at--)
        s->pick[at] = s->pick[at - 1];
    pick *p = &s->pick[at];
    memset(p, 0, sizeof *p);
    text_copy(p->order, sizeof p->order, order);
    text_copy(p->image, sizeof p->image, r->image);
    text_copy(p->file_hash, sizeof p->file_hash, r->file_hash);
    p->path = fs_is_dir(r->root) ? fs_join(r->root, r->path) : mem_strdup(r->root);
    p->facts = mem_alloc(sizeof *p->facts);
    *p->facts = r->rec;
    p->reasons = r->reasons;
    s->n++;
}

static bool visit(void *ctx, const catalog_row *r, err *e)
{
    job *j = ctx;
    j->seen++;
    if (!r->prepared)
        return true;
    j->judged++;
    if (!fs_exists(r->root))
        return err_set(e, ERR_IO,
                       "an archive folder of this catalogue is not there now; mount it and run the "
                       "same command again");
    bool picture = r->image[0] && !prepare_failed(r->primary) && r->scan_reason == REASON_NONE;
    if (r->primary == REASON_NONE) {
        j->sheet[REASON_NONE].out++;
        if (picture)
            choose(j, REASON_NONE, r);
    }
    for (int k = 1; k < REASON_COUNT; k++) {
        if (!reason_has(&r->reasons, (reason)k))
            continue;
        *((reason)k == r->primary ? &j->sheet[k].out : &j->sheet[k].noticed) += 1;
        if (picture)
            choose(j, k, r);
    }
    return true;
}

/* ---- drawing --------------------------------------------------------------------------------- */

static void caption(const pick *p, char *name, char *codes, size_t cap)
{
    const char side[2] = {p->facts->side == 'L' || p->facts->side == 'R' ? p->facts->side : 0, 0};
    size_t n = 0;
    snprintf(name, cap, "%.*s  %s  %s%s", NAME, p->image, p->facts->vendor, side,
             record_view_name(p->facts->view));
    codes[0] = 0;
    for (int k = 1; k < REASON_COUNT && n < cap; k++)
        if (reason_has(&p->reasons, (reason)k))
            n += (size_t)snprintf(codes + n, cap - n, "%s%s", n ? " " : "", reason_name((reason)k));
}

/* False: the image cannot be shown any more, or is no longer the one that was judged. */
static bool look(job *j, worker *w, const pick *p, const preview **v)
{
    const void *reply;
    size_t arg_len, len = 0;
    void *arg = preview_request(j->o->config, p->facts, PREVIEW_PANEL, &arg_len);
    worker_result r = worker_call(w, PREVIEW_TASK, p->path, NULL, 0, arg, arg_len, &reply, &len);
    mem_free(arg);
    if (r != WORKER_OK || !preview_ok(j->o->config, reply, len))
        return false;
    *v = reply;
    return (*v)->decoded && strncmp((*v)->p.file_hash, p->file_hash, sizeof p->file_hash) == 0;
}

static void draw(void *ctx, int64_t code, int thread)
{
    job *j = ctx;
    sheet *s = &j->sheet[code];
    s->ok = true;
    if (!s->n)
        return;
    preview_sheet *paper = preview_sheet_new(s->n, COLUMNS, SIDE, LINES);
    for (int i = 0; i < s->n && s->ok; i++) {
        char name[256], codes[256];
        const char *lines[LINES] = {name, codes};
        const preview *v;
        if (pool_stop_asked())
            s->ok = err_set(&s->why, ERR_STOPPED, "prepare --audit: stopped on request");
        else if (look(j, j->worker[thread], &s->pick[i], &v)) {
            caption(&s->pick[i], name, codes, sizeof name);
            preview_sheet_add(paper, v, lines, LINES);
            s->shown++;
        }
    }
    if (s->ok && s->shown) {
        text path;
        text_init(&path);
        text_addf(&path, "%s/%s.png", j->folder, sheet_name((int)code));
        s->ok = preview_sheet_write(paper, path.s, &s->why);
        text_release(&path);
    }
    preview_sheet_free(paper);
}

static bool draw_all(job *j, err *e)
{
    pool *p = pool_new(j->o->threads);
    worker_limits limits = {j->cfg.seconds, (size_t)j->cfg.memory_mib << 20,
                            preview_reply_cap(j->o->config, PREVIEW_PANEL)};
    j->n_workers = pool_threads(p);
    j->worker = MEM_ARRAY(worker *, j->n_workers);
    for (int i = 0; i < j->n_workers; i++)
        j->worker[i] = worker_new(&limits);
    pool_for(p, REASON_COUNT, draw, j);
    pool_free(p);
    for (int k = 0; k < REASON_COUNT; k++)
        if (!j->sheet[k].ok) {
            *e = j->sheet[k].why;
            return false;
        }
    return true;
}

/* ---- the page -------------------------------------------------------------------------------- */

static void page_row(text *t, const job *j, int code)
{
    const sheet *s = &j->sheet[code];
    const char *name = sheet_name(code);
    if (!s->out && !s->noticed)
        return;
    text_addf(t, "<tr><td>%s</td><td>%s</td><td>%lld</td><td>%lld</td><td>%.2f %%</td><td>", name,
              code ? reason_sentence((reason)code) : "kept", (long long)s->out,
              (long long)s->noticed, 100.0 * (double)(s->out + s->noticed) / (double)j->judged);
    if (s->shown)
        text_addf(t, "<a href=\"%s.png\">%d image%s</a>", name, s->shown, s->shown == 1 ? "" : "s");
    else
        text_add(t, "no picture");
    text_add(t, "</td></tr>\n");
}

static bool write_page(const job *j, err *e)
{
    text t;
    text_init(&t);
    text_addf(
        &t,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<title>Contact sheets %s</title>\n<style>body{font-family:sans-serif;margin:2em}"
        "td,th{text-align:left;padding:.2em .8em;border-bottom:1px solid #ccc}</style>"
        "</head><body>\n<h1>Contact sheets</h1>\n<p>Prepare id %s, %lld files judged. "
        "Pictures of patients: for the hospital only.</p>\n<p>Left of each pair the image as "
        "it is displayed, turned as it was stored, with the outline of the breast (orange) "
        "and the crop (blue); right what the network would see. Below it the first letters of "
        "<i>image</i> in catalog.db and exclusions.csv, vendor, side and view, and every code "
        "noticed. The images of a sheet are a random choice, the same on every run.</p>\n"
        "<table><tr><th>code</th><th>what it says</th><th>primary</th>"
        "<th>also noticed</th><th>share of files</th><th>sheet</th></tr>\n",
        j->id, j->id, (long long)j->judged);
    for (int k = 0; k < REASON_COUNT; k++)
        page_row(&t, j, k);
    text_add(&t, "</table>\n</body></html>\n");
    char *path = fs_join(j->folder, "index.html");
    bool ok = fs_write_private(path, t.s, t.len, e);
    mem_free(path);
    text_release(&t);
    return ok;
}

/* ---- the stage ------------------------------------------------------------------------------- */

static bool make_folder(job *j, err *e)
{
    char *audit = fs_join(j->o->store, "audit");
    j->folder = fs_join(audit, j->id);
    bool ok = fs_remove_tree(j->folder, e) && fs_mkdirs(j->folder, e);
    if (ok && (chmod(audit, 0700) != 0 || chmod(j->folder, 0700) != 0))
        ok = err_set(e, ERR_IO, "prepare --audit: cannot close the folder of the sheets to others");
    mem_free(audit);
    return ok;
}

static bool run(job *j, err *e)
{
    catalog *c = catalog_open(j->o->store, false, e);
    if (!c)
        return false;
    bool ok = (j->key = pseudo_open(j->o->store, false, e)) != NULL &&
              catalog_each(c, j->id, visit, j, e);
    catalog_close(c);
    if (ok && !j->judged)
        ok = err_set(e, ERR_INPUT, "prepare --audit: nothing was prepared under this config");
    return ok && make_folder(j, e) && draw_all(j, e) && write_page(j, e);
}

static void job_release(job *j)
{
    for (int k = 0; k < REASON_COUNT; k++) {
        for (int i = 0; i < j->sheet[k].n; i++)
            pick_release(&j->sheet[k].pick[i]);
        mem_free(j->sheet[k].pick);
    }
    for (int i = 0; j->worker && i < j->n_workers; i++)
        worker_free(j->worker[i]);
    mem_free(j->worker);
    mem_free(j->folder);
    pseudo_free(j->key);
}

bool audit_run(const audit_opts *o, audit_result *out, err *e)
{
    job j;
    memset(&j, 0, sizeof j);
    memset(out, 0, sizeof *out);
    j.o = o;
    if (o->images < 1 || o->images > AUDIT_MAX)
        return err_set(e, ERR_USAGE, "--audit %d: wanted 1..%d images per code", o->images,
                       AUDIT_MAX);
    if (!prepare_bind(o->config, &j.cfg, e))
        return false;
    prepare_id(o->config, j.id);
    bool ok = run(&j, e);
    for (int k = 0; k < REASON_COUNT && ok; k++) {
        out->sheets += j.sheet[k].shown > 0;
        out->pictures += j.sheet[k].shown;
        out->left += j.sheet[k].n - j.sheet[k].shown;
    }
    job_release(&j);
    return ok;
}
