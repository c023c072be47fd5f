/* YAML events (libyaml) to flat dotted keys. The reader owns structure and what is refused; it
 * knows no key and no type. */
#include "core/flat.h"

#include <string.h>
#include <yaml.h>

#include "core/mem.h"
#include "core/text.h"

#define FLAT_DEPTH_MAX 16

typedef struct flat_reader {
    yaml_parser_t parser;
    const char *name;
    flat_visit *visit;
    void *ctx;
    err *e;
} flat_reader;

static bool refuse(const flat_reader *r, const yaml_event_t *ev, const char *why)
{
    int line = (int)ev->start_mark.line + 1;
    return err_set(r->e, ERR_CONFIG, "%s:%d: %s", r->name, line, why);
}

static bool is_clean(const flat_reader *r, const yaml_event_t *ev)
{
    const unsigned char *anchor = NULL, *tag = NULL;
    if (ev->type == YAML_SCALAR_EVENT) {
        anchor = ev->data.scalar.anchor;
        tag = ev->data.scalar.tag;
    } else if (ev->type == YAML_SEQUENCE_START_EVENT) {
        anchor = ev->data.sequence_start.anchor;
        tag = ev->data.sequence_start.tag;
    } else if (ev->type == YAML_MAPPING_START_EVENT) {
        anchor = ev->data.mapping_start.anchor;
        tag = ev->data.mapping_start.tag;
    }
    if (anchor || ev->type == YAML_ALIAS_EVENT)
        return refuse(r, ev, "anchors and aliases are not supported");
    if (tag)
        return refuse(r, ev, "tags such as '!!str' are not supported");
    if (ev->type == YAML_SCALAR_EVENT &&
        strlen((const char *)ev->data.scalar.value) != ev->data.scalar.length)
        return refuse(r, ev, "a NUL character");
    return true;
}

/* The next event, checked; *ev can be deleted in every case. */
static bool next_event(flat_reader *r, yaml_event_t *ev)
{
    if (yaml_parser_parse(&r->parser, ev))
        return is_clean(r, ev);
    memset(ev, 0, sizeof(*ev));
    char why[128];
    text_copy(why, sizeof(why), r->parser.problem ? r->parser.problem : "unreadable");
    return err_set(r->e, ERR_CONFIG, "%s:%d: not valid YAML: %s", r->name,
                   (int)r->parser.problem_mark.line + 1, why);
}

/* Items are copied, because their events go away; released by the caller. */
static bool read_list(flat_reader *r, flat_value *out)
{
    bool ok = true;
    for (bool more = true; ok && more;) {
        yaml_event_t ev;
        ok = next_event(r, &ev);
        if (ok && ev.type == YAML_SEQUENCE_END_EVENT)
            more = false;
        else if (ok && ev.type != YAML_SCALAR_EVENT)
            ok = refuse(r, &ev, "a list inside a list or a mapping");
        else if (ok && out->n == FLAT_LIST_MAX)
            ok = refuse(r, &ev, "a list of more than 64 items");
        else if (ok)
            out->v[out->n++] = mem_strdup((const char *)ev.data.scalar.value);
        yaml_event_delete(&ev);
    }
    return ok;
}

static bool read_mapping(flat_reader *r, const char *prefix, int depth);

/* The value of `key`; `start` is its first event. */
static bool read_value(flat_reader *r, const char *key, const yaml_event_t *start, int depth)
{
    flat_value v = {.key = key, .line = (int)start->start_mark.line + 1};
    if (start->type == YAML_MAPPING_START_EVENT) {
        v.kind = FLAT_SECTION;
        return r->visit(r->ctx, &v, r->e) && read_mapping(r, key, depth + 1);
    }
    if (start->type == YAML_SCALAR_EVENT) {
        v.kind = FLAT_SCALAR;
        v.quoted = start->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        v.n = 1;
        v.v[0] = (const char *)start->data.scalar.value;
        return r->visit(r->ctx, &v, r->e);
    }
    v.kind = FLAT_LIST;
    bool ok = read_list(r, &v) && r->visit(r->ctx, &v, r->e);
    for (int i = 0; i < v.n; i++)
        mem_free((void *)(uintptr_t)v.v[i]);
    return ok;
}

static bool read_mapping(flat_reader *r, const char *prefix, int depth)
{
    bool ok = true;
    for (bool more = true; ok && more;) {
        yaml_event_t k, v;
        memset(&v, 0, sizeof(v));
        ok = next_event(r, &k);
        more = ok && k.type != YAML_MAPPING_END_EVENT;
        if (more && (k.type != YAML_SCALAR_EVENT || !k.data.scalar.length)) {
            ok = refuse(r, &k, "a key must be a word");
        } else if (more && depth > FLAT_DEPTH_MAX) {
            ok = refuse(r, &k, "more than 16 levels");
        } else if (more) {
            text key;
            text_init(&key);
            text_addf(&key, "%s%s%s", prefix, *prefix ? "." : "", k.data.scalar.value);
            ok = next_event(r, &v) && read_value(r, key.s, &v, depth);
            text_release(&key);
        }
        yaml_event_delete(&v);
        yaml_event_delete(&k);
    }
    return ok;
}

/* stream-start [document-start mapping document-end] stream-end. */
static bool read_stream(flat_reader *r)
{
    int documents = 0;
    bool ok = true;
    for (bool more = true; ok && more;) {
        yaml_event_t ev;
        ok = next_event(r, &ev);
        if (ok && ev.type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
            ok = refuse(r, &ev, "a second document");
        else if (ok && ev.type == YAML_MAPPING_START_EVENT)
            ok = read_mapping(r, "", 1);
        else if (ok && ev.type == YAML_SCALAR_EVENT && ev.data.scalar.length == 0)
            ok = true; /* "---" and nothing else */
        else if (ok && (ev.type == YAML_SCALAR_EVENT || ev.type == YAML_SEQUENCE_START_EVENT))
            ok = refuse(r, &ev, "'key: value' lines are wanted");
        more = ok && ev.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&ev);
    }
    return ok;
}

bool flat_read(const char *yaml, size_t len, const char *name, flat_visit *visit, void *ctx, err *e)
{
    flat_reader r = {.name = name, .visit = visit, .ctx = ctx, .e = e};
    if (!yaml_parser_initialize(&r.parser))
        return err_set(e, ERR_MEMORY, "%s: out of memory", name);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)yaml, len);
    bool ok = read_stream(&r);
    yaml_parser_delete(&r.parser);
    return ok;
}
