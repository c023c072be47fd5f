/* show FILE.dcm: facts, decisions, reasons and pictures of one DICOM file (show_dicom.h). */
#include "cli/show_dicom.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/exam.h"
#include "core/text.h"

/* ---- one file -------------------------------------------------------------------------------- */

typedef struct lines { /* the same facts twice: a tree and words */
    json_t *tree;
    text words;
} lines;

static void say(lines *l, const char *key, const char *value)
{
    json_object_set_new(l->tree, key, json_words(value));
    if (value[0])
        text_addf(&l->words, "%-24s %s\n", key, value);
}

static void say_f(lines *l, const char *key, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void say_f(lines *l, const char *key, const char *fmt, ...)
{
    char value[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    say(l, key, value);
}

static void say_record(lines *l, const record *r, bool identifiers)
{
    char value[RECORD_COLUMN_MAX];
    for (int i = 0; i < record_columns(); i++) {
        if (record_column_is_identifier(i) && !identifiers)
            continue;
        record_column_text(r, i, value, sizeof value);
        say(l, record_column_name(i), value);
    }
}

static const char *yes(bool b)
{
    return b ? "yes" : "no";
}

/* How stored values became grey levels. */
static void say_window(lines *l, const preview *v)
{
    const record *r = &v->p.rec;
    int i = v->window_item;
    if (v->p.proc_flags & IMAGE_VOI_LUT)
        say_f(l, "decided window", "VOI LUT, item %d of %d", i + 1, r->n_voi_luts);
    else if (v->p.proc_flags & IMAGE_VOI_FULL)
        say(l, "decided window", "full range of the stored bits");
    else if (i >= 0 && i < r->n_windows && i < RECORD_WINDOWS)
        say_f(l, "decided window", "window %d of %d: centre %g, width %g%s%s", i + 1, r->n_windows,
              r->window_center[i], r->window_width[i], r->window_name[i][0] ? ", " : "",
              r->window_name[i]);
    else
        say(l, "decided window", "by the config (prepare.voi)");
    say(l, "decided modality",
        v->p.proc_flags & IMAGE_MODALITY_LUT ? "LUT"
        : v->p.proc_flags & IMAGE_RESCALED   ? "rescale"
                                             : "none");
    say(l, "decided padding", yes(v->p.proc_flags & IMAGE_PADDING));
}

static void say_decisions(lines *l, const preview *v)
{
    static const char *const contrast[] = {
        [SEGMENT_DARK_BACKGROUND] = "agree: dark background",
        [SEGMENT_BRIGHT_BACKGROUND] = "disagree: bright background",
        [SEGMENT_UNCERTAIN] = "do not tell",
    };
    static const char *const hung[] = {
        [SEGMENT_BY_NOTHING] = "nothing",
        [SEGMENT_BY_SIDE] = "the side",
        [SEGMENT_BY_CODES] = "PatientOrientation",
    };
    static const char *const wall[2][2] = {
        {"chest wall stored on the left", "chest wall stored on the right"},
        {"chest wall stored on the top", "chest wall stored on the bottom"}}; /* transposed */
    const pixel_facts *f = &v->facts;
    say_window(l, v);
    say_f(l, "decided polarity", "header: %s; pixels %s; used: %s",
          v->inverse_by_header ? "inverse" : "as stored", contrast[v->contrast],
          v->inverted ? "inverse" : "as stored");
    say_f(l, "decided orientation", "header by %s; chest wall by pixels: %s; %s%s%s%s",
          hung[v->hung_by],
          v->chest > 0   ? "where expected"
          : v->chest < 0 ? "on the other side"
                         : "not clear",
          v->orient.transpose ? "transposed, " : "", v->orient.flip_h ? "mirrored, " : "",
          v->orient.flip_v ? "upside down, " : "", wall[v->orient.transpose][v->orient.flip_h]);
    if (f->breast_found) {
        say_f(l, "decided breast", "%.1f %% of the image%s", 100 * f->breast_area,
              f->breast_mm2 > 0 ? "" : ", pixel size unknown");
        say_f(l, "measured breast_mm2", "%.0f", f->breast_mm2);
        say_f(l, "measured levels", "median %.3f, saturated %.4f, noise %.4f, air noise %.4f",
              f->breast_median, f->breast_saturated, f->breast_noise, f->air_noise);
        say_f(l, "measured parts",
              "smooth bright part %.3f of the breast (solidity %.2f); metal %.0f to %.0f mm2; row "
              "of %d letters",
              f->blob_share, f->blob_solidity, f->metal_least_mm2, f->metal_most_mm2, f->letters);
        say_f(l, "measured borders", "top %.2f, bottom %.2f, front %.2f", f->border_top,
              f->border_bottom, f->border_front);
    } else {
        say(l, "decided breast", "none found");
        say_f(l, "measured object",
              "area %.3f, extent %.2f, smooth %.2f, level %.2f, spread %.2f, %s", f->object_area,
              f->object_extent, f->object_flat, f->object_level, f->object_spread,
              f->object_free ? "free of the borders" : "at a border");
    }
    say_f(l, "measured range", "%.3f of full scale, most frequent value %.4f, noise %.4f", f->range,
          f->top_share, f->noise);
    say_f(l, "decided crop", "x %d, y %d, %d x %d stored pixels", v->crop[0], v->crop[1],
          v->crop[2], v->crop[3]);
    say_f(l, "prepared image", "%d x %d px, %u breast pixels", v->p.h[0], v->p.w[0],
          v->p.breast_pixels[0]);
}

/* Every hit under the phase that found it. */
static void say_reasons(lines *l, const preview *v)
{
    const struct {
        const char *phase;
        const reason_set *set;
    } phases[] = {
        {"header", &v->by_header}, {"decoder", &v->by_decoder}, {"pixels", &v->by_pixels}};
    json_t *list = json_array();
    for (size_t i = 0; i < COUNT_OF(phases); i++)
        for (int r = 1; r < REASON_COUNT; r++)
            if (reason_has(phases[i].set, (reason)r)) {
                json_array_append_new(list, json_pack("{s:s, s:s}", "code", reason_name((reason)r),
                                                      "phase", phases[i].phase));
                text_addf(&l->words, "%-24s %s (%s): %s\n",
                          r == (int)v->p.primary ? "left out" : "noticed", reason_name((reason)r),
                          phases[i].phase, reason_sentence((reason)r));
            }
    json_object_set_new(l->tree, "reasons", list);
    json_object_set_new(l->tree, "primary", json_string(reason_name(v->p.primary)));
}

static bool write_picture(const preview *v, preview_stage stage, const char *path, err *e)
{
    if (!v->decoded || stage != PREVIEW_PANEL)
        return preview_stage_png(v, stage, path, e);
    preview_sheet *s = preview_sheet_new(1, 1, PREVIEW_SIDE, 0);
    preview_sheet_add(s, v, NULL, 0);
    bool ok = preview_sheet_write(s, path, e);
    preview_sheet_free(s);
    return ok;
}

bool show_dicom(cmd_args *a, const char *path, err *e)
{
    const char *image = cmd_value(a, "--image"), *word = cmd_value(a, "--stage");
    preview_stage stage = PREVIEW_PANEL;
    const preview *v;
    scan_cfg sc;
    if (word && !preview_stage_find(word, &stage, e))
        return false;
    if (word && !image)
        return err_set(e, ERR_USAGE,
                       "--stage says which picture --image writes; --image is missing");
    if (!prepare_check(a->config, e))
        return false;
    cfg_bind(a->config, &scan_options, &sc);
    sidecar *side = sc.sidecar[0] ? sidecar_open(sc.sidecar, e) : NULL;
    if (sc.sidecar[0] && !side)
        return false;
    size_t cap = preview_reply_cap(a->config, stage) + sizeof(scan_reply);
    worker *w = worker_new(&(worker_limits){60, (size_t)2 << 30, cap});
    bool ok = exam_preview(w, a->config, side, path, stage, &v, e);
    if (ok) {
        lines l = {.tree = json_object()};
        text_init(&l.words);
        say_record(&l, &v->p.rec, cmd_value(a, "--identifiers") != NULL);
        if (v->decoded)
            say_decisions(&l, v);
        say_reasons(&l, v);
        cmd_result(a, l.tree, "%s", l.words.s);
        text_release(&l.words);
        ok = !image || write_picture(v, stage, image, e);
    }
    worker_free(w);
    sidecar_free(side);
    return ok;
}

/* ---- the table of codes ---------------------------------------------------------------------- */

typedef struct code_row {
    reason code;
    const char *phase, *action, *key;
} code_row;

static void add_code(json_t *list, text *t, const code_row *r)
{
    char family[2] = {reason_family(r->code), 0};
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "code", reason_name(r->code),
                                    "family", family, "phase", r->phase, "default", r->action,
                                    "key", r->key, "sentence", reason_sentence(r->code)));
    text_addf(t, "| %s | %s | %s | %s | %s%s | %s |\n", reason_name(r->code), family, r->phase,
              r->action, r->key[0] ? "exclude." : "", r->key, reason_sentence(r->code));
}

bool show_dicom_reasons(const cmd_args *a)
{
    json_t *list = json_array();
    text t;
    text_init(&t);
    text_add(&t,
             "| code | family | phase | default | key | sentence |\n|---|---|---|---|---|---|\n");
    for (int r = 1; r < REASON_COUNT; r++) {
        bool judged = false;
        for (int i = 0; i < EXCLUDE_ROWS; i++)
            if (exclude_code(i) == (reason)r) {
                judged = true;
                add_code(list, &t,
                         &(code_row){(reason)r,
                                     exclude_row_phase(i) == EXCLUDE_HEADER ? "header" : "pixels",
                                     exclude_default(i), exclude_key(i)});
            }
        if (!judged)
            add_code(list, &t,
                     &(code_row){(reason)r, reason_family((reason)r) == 'L' ? "split" : "reading",
                                 "exclude", ""});
    }
    cmd_result(a, json_pack("{s:o}", "reasons", list), "%s", t.s);
    text_release(&t);
    return true;
}
