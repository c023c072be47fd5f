/* Finds the words of the report, in English or in a translation that stands in front, and fills in
 * their {names}. The words themselves: words_<name>.c. */
#include "eval/report_text.h"
#include "core/mem.h"

/* By what they speak of: each in the file of its name, words_<name>.c. */
static const report_words *const rooms[] = {&words_page, &words_figures, &words_tables,
                                            &words_analyses, &words_guidelines};

static const char *english(const char *key)
{
    for (size_t r = 0; r < COUNT_OF(rooms); r++)
        for (int i = 0; i < rooms[r]->n; i++)
            if (!strcmp(rooms[r]->row[i].key, key))
                return rooms[r]->row[i].text;
    return NULL;
}

/* The words of a translation, or NULL: report_text_use. */
static json_t *translation;

const char *report_text_find(const char *key)
{
    const char *s = json_string_value(json_object_get(translation, key));
    return s ? s : english(key);
}

/* Does every {name} of s stand in the English text too? */
static bool names_known(const char *s, const char *original)
{
    for (const char *p = strchr(s, '{'); p; p = strchr(p + 1, '{')) {
        char name[64];
        size_t n = strcspn(p, "}");
        if (!p[n] || n + 2 > sizeof name)
            return false;
        snprintf(name, sizeof name, "%.*s", (int)n + 1, p);
        if (!strstr(original, name))
            return false;
    }
    return true;
}

/* "en", "pt-BR": it goes into attributes and PDF objects. */
static bool language_tag(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
    return n > 0 && n <= 15 && !s[n];
}

bool report_text_use(const char *path, err *e)
{
    json_t *words = NULL, *v;
    const char *key;
    bool ok = true;
    json_decref(translation);
    translation = NULL;
    if (!path)
        return true;
    if (!json_read(path, &words, e))
        return err_wrap(e, "eval.strings");
    if (!json_is_object(words))
        ok = err_set(e, ERR_INPUT, "eval.strings: not an object of texts");
    json_object_foreach(words, key, v)
    {
        if (!ok)
            break;
        if (!english(key))
            ok = err_set(e, ERR_INPUT, "eval.strings: '%.60s' is no key of the report", key);
        else if (!json_is_string(v))
            ok = err_set(e, ERR_INPUT, "eval.strings: '%.60s' is not a text", key);
        else if (!strcmp(key, "lang") && !language_tag(json_string_value(v)))
            ok = err_set(e, ERR_INPUT, "eval.strings: 'lang' is not a language tag");
        else if (!names_known(json_string_value(v), english(key)))
            ok = err_set(e, ERR_INPUT,
                         "eval.strings: '%.60s' has a {name} that the English text has not", key);
    }
    if (ok)
        translation = words;
    else
        json_decref(words);
    return ok;
}

json_t *report_text_all(void)
{
    json_t *all = json_object();
    for (int i = 0; i < report_text_count(); i++)
        json_object_set_new(all, report_text_key(i), json_string(report_text(report_text_key(i))));
    return all;
}

const char *report_text(const char *key)
{
    const char *s = report_text_find(key);
    if (!s)
        BUG("report: no text for '%s'", key);
    return s;
}

int report_text_count(void)
{
    int n = 0;
    for (size_t r = 0; r < COUNT_OF(rooms); r++)
        n += rooms[r]->n;
    return n;
}

const char *report_text_key(int i)
{
    size_t r = 0;
    for (; i >= rooms[r]->n; r++)
        i -= rooms[r]->n;
    return rooms[r]->row[i].key;
}

void report_fill(text *out, const char *key, const char *const *pairs)
{
    const char *s = report_text(key);
    while (*s) {
        size_t plain = strcspn(s, "{");
        text_addn(out, s, plain);
        s += plain;
        if (!*s)
            break;
        size_t n = strcspn(s + 1, "}");
        const char *value = NULL;
        for (int i = 0; pairs[i] && !value; i += 2)
            if (strlen(pairs[i]) == n && !strncmp(pairs[i], s + 1, n))
                value = pairs[i + 1];
        if (!value)
            BUG("report: text '%s' has no value for '%.*s'", key, (int)n, s + 1);
        text_add(out, value);
        s += n + 2;
    }
}
