/* The log of looks at test exams. */
#include "eval/report_look.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"
#include <time.h>

#define LOG_MAX (16u << 20)

/* The whole log, or NULL where there is none. */
static bool read_log(const char *dir, char **s, size_t *len, err *e)
{
    char *path = fs_join(dir, "final.log");
    *s = NULL;
    *len = 0;
    bool ok = !fs_exists(path) || fs_read(path, LOG_MAX, s, len, e);
    mem_free(path);
    return ok;
}

bool report_look_read(const char *dir, report_look *out, err *e)
{
    static const char key[] = " model_sha256=";
    json_t *seen = json_object();
    char *log, *p;
    size_t len;
    *out = (report_look){0, 0};
    bool ok = read_log(dir, &log, &len, e);
    for (p = log; ok && p && *p;) {
        size_t n = strcspn(p, "\n");
        char model[80] = "", *at = strstr(p, key);
        if (at && at < p + n)
            snprintf(model, sizeof model, "%.*s", (int)strcspn(at + strlen(key), " \n"),
                     at + strlen(key));
        out->n++;
        json_object_set_new_nocheck(seen, model, json_true());
        p += n + (p[n] == '\n');
    }
    out->models = (int64_t)json_object_size(seen);
    json_decref(seen);
    mem_free(log);
    return ok;
}

bool report_look_add(const char *dir, const json_t *run, err *e)
{
    static const char *const keys[] = {"git", "data_sha256", "model_sha256", "config_sha256", NULL};
    char *old;
    size_t len;
    if (!read_log(dir, &old, &len, e))
        return false;
    struct tm tm;
    time_t now = time(NULL);
    text t;
    text_init(&t);
    if (old)
        text_addn(&t, old, len);
    gmtime_r(&now, &tm);
    text_addf(&t, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
              tm.tm_hour, tm.tm_min, tm.tm_sec);
    for (int i = 0; keys[i]; i++) {
        const char *v = json_string_value(json_object_get(run, keys[i]));
        text_addf(&t, " %s=%.64s", keys[i], v ? v : "-");
    }
    text_add(&t, "\n");
    char *path = fs_join(dir, "final.log");
    bool ok = fs_write(path, t.s, t.len, e);
    mem_free(path);
    text_release(&t);
    mem_free(old);
    return ok;
}
