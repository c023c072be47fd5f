/* The part of JSON Schema (draft 7) that docs/eval.schema.json uses. A keyword that it does not
 * know is a failure, so that a schema never promises what nobody checks. */
#ifndef TESTS_UNIT_JSON_SCHEMA_H
#define TESTS_UNIT_JSON_SCHEMA_H

#include "core/json.h"
#include <string.h>

typedef struct schema_fault {
    char what[256]; /* first fault, "" = none */
} schema_fault;

static const char *schema_type(const json_t *v)
{
    return json_is_object(v)    ? "object"
           : json_is_array(v)   ? "array"
           : json_is_string(v)  ? "string"
           : json_is_integer(v) ? "integer"
           : json_is_real(v)    ? "number"
           : json_is_null(v)    ? "null"
                                : "boolean";
}

static bool schema_type_is(const json_t *wanted, const char *have)
{
    const char *w = json_string_value(wanted);
    return !strcmp(w, have) || (!strcmp(w, "number") && !strcmp(have, "integer"));
}

static void schema_say(schema_fault *f, const char *path, const char *key)
{
    if (!f->what[0])
        snprintf(f->what, sizeof f->what, "%s: %s", path, key);
}

static void schema_check(const json_t *root, const json_t *s, const json_t *v, const char *path,
                         schema_fault *f);

static void schema_members(const json_t *root, const json_t *s, const json_t *v, const char *path,
                           schema_fault *f)
{
    const json_t *known = json_object_get(s, "properties"),
                 *rest = json_object_get(s, "additionalProperties");
    const char *name;
    char at[200];
    size_t i;
    json_t *x;
    json_array_foreach(json_object_get(s, "required"), i, x)
    {
        if (!json_object_get(v, json_string_value(x)))
            schema_say(f, path, json_string_value(x));
    }
    json_object_foreach((json_t *)v, name, x)
    {
        const json_t *one = json_object_get(known, name);
        snprintf(at, sizeof at, "%.120s.%.60s", path, name);
        if (one || json_is_object(rest))
            schema_check(root, one ? one : rest, x, at, f);
        else if (json_is_false(rest))
            schema_say(f, at, "not in the schema");
    }
}

static bool schema_keyword(const char *key)
{
    static const char *const known[] = {
        "$schema",    "title",     "description", "type",     "enum",
        "const",      "required",  "properties",  "items",    "additionalProperties",
        "$ref",       "minLength", "maxLength",   "minItems", "minimum",
        "definitions"};
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (!strcmp(known[i], key))
            return true;
    return false;
}

static void schema_check(const json_t *root, const json_t *s, const json_t *v, const char *path,
                         schema_fault *f)
{
    const char *ref = json_string_value(json_object_get(s, "$ref")), *key;
    const json_t *type = json_object_get(s, "type"), *one = json_object_get(s, "const"),
                 *items = json_object_get(s, "items"), *x;
    char at[200];
    size_t i;
    json_t *w;
    json_object_foreach((json_t *)s, key, w)
    {
        if (!schema_keyword(key))
            schema_say(f, path, key);
    }
    if (ref) {
        x = json_object_get(json_object_get(root, "definitions"), ref + strlen("#/definitions/"));
        if (!x)
            schema_say(f, path, ref);
        else
            schema_check(root, x, v, path, f);
        return;
    }
    bool right = type == NULL || (json_is_string(type) && schema_type_is(type, schema_type(v)));
    json_array_foreach(type, i, w) right = right || schema_type_is(w, schema_type(v));
    if (!right)
        schema_say(f, path, schema_type(v));
    if (one && !json_equal(one, v))
        schema_say(f, path, "const");
    right = json_object_get(s, "enum") == NULL;
    json_array_foreach(json_object_get(s, "enum"), i, w) right = right || json_equal(w, v);
    if (!right)
        schema_say(f, path, json_is_string(v) ? json_string_value(v) : "enum");
    if ((x = json_object_get(s, "minimum")) && json_is_number(v) &&
        json_number_value(v) < json_number_value(x))
        schema_say(f, path, "minimum");
    if ((x = json_object_get(s, "minLength")) && json_is_string(v) &&
        (json_int_t)json_string_length(v) < json_integer_value(x))
        schema_say(f, path, "minLength");
    if ((x = json_object_get(s, "maxLength")) && json_is_string(v) &&
        (json_int_t)json_string_length(v) > json_integer_value(x))
        schema_say(f, path, "maxLength");
    if ((x = json_object_get(s, "minItems")) && json_is_array(v) &&
        (json_int_t)json_array_size(v) < json_integer_value(x))
        schema_say(f, path, "minItems");
    if (json_is_object(v))
        schema_members(root, s, v, path, f);
    if (json_is_array(v) && items)
        json_array_foreach(v, i, w)
        {
            snprintf(at, sizeof at, "%.150s[%zu]", path, i);
            schema_check(root, items, w, at, f);
        }
}
#endif
