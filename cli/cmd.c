/* What the verbs share: kinds of paths, and one result in two forms. */
#include "cli/cmd.h"

#include "core/fs.h"
#include "core/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool has(const char *dir, const char *name)
{
    char *path = fs_join(dir, name);
    bool found = fs_exists(path);
    mem_free(path);
    return found;
}

cmd_kind cmd_kind_of(const char *path)
{
    if (!fs_exists(path))
        return CMD_NOTHING;
    if (!fs_is_dir(path))
        return !strcmp(fs_base(path), "best") ? CMD_RUN : CMD_FILE; /* names a checkpoint */
    if (has(path, "catalog.db"))
        return CMD_STORE;
    if (has(path, "config.yaml") || has(path, "state.json"))
        return CMD_RUN;
    if (has(path, "predictions.csv") || has(path, "predictions.json"))
        return CMD_PRED;
    return has(path, "eval.json") ? CMD_REPORT : CMD_NOTHING;
}

bool cmd_not_ours(const char *path, err *e)
{
    if (!fs_exists(path))
        return err_set(e, ERR_INPUT, "'%s' does not exist", path);
    return err_set(
        e, ERR_INPUT,
        "'%s' is no store (catalog.db), no run (config.yaml), no checkpoint (state.json), no "
        "prediction (predictions.csv) and no report (eval.json)",
        path);
}

bool cmd_whole_exams(const cmd_args *a)
{
    return !strcmp(cfg_text(a->config, "exam.require"), "exactly4");
}

void cmd_result(const cmd_args *a, json_t *o, const char *fmt, ...)
{
    text line;
    va_list ap;
    if (!o)
        BUG("a result without its JSON form");
    text_init(&line);
    if (a->json) {
        json_write_text(o, false, &line);
        printf("%s\n", line.s);
    } else {
        va_start(ap, fmt);
        vprintf(fmt, ap);
        va_end(ap);
    }
    text_release(&line);
    json_decref(o);
}
