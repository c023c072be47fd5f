/* Making a report again. */
#include "eval/report_again.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/version.h"
#include "eval/report_text.h"

/* Hash of a table and of the books, the model card and the pictures beside it. */
static json_t *hash_in(const report_in *in)
{
    char sum[65];
    text t;
    text_init(&t);
    scores_hash(&in->scores, sum);
    text_addf(&t, "%s %lld", sum, (long long)in->scores.n_merged);
    const json_t *const books[] = {in->flow, in->model, in->hashes, in->pages.exams};
    for (size_t i = 0; i < COUNT_OF(books); i++)
        json_write_text(books[i], false, &t);
    text_add(&t, in->config ? in->config : "");
    text_addf(&t, " %lld %s", (long long)in->pages.left_out, in->robust.sha256);
    fs_sha256_of(t.s, t.len, sum);
    text_release(&t);
    return json_string(sum);
}

static void add_option(json_t *inputs, const char *key, const char *value)
{
    json_object_set_new(inputs, key, json_words(value));
}

json_t *report_again_inputs(const report_opts *o, const report_sources *src)
{
    json_t *all = json_object(), *options = report_tree_options(&o->cfg), *v;
    const char *key, *date = getenv("SOURCE_DATE_EPOCH");
    char name[96];
    text t;
    text_init(&t);
    text_addf(&t, "%s %s", version_number(), version_git());
    add_option(all, "program", t.s);
    add_option(all, "SOURCE_DATE_EPOCH", date ? date : "");
    add_option(all, "--final", o->final ? "yes" : "no");
    char strings[65] = "";
    if (o->cfg.strings[0]) { /* what it says, not where it lies */
        text_clear(&t);
        json_t *words = report_text_all();
        json_write_text(words, false, &t);
        json_decref(words);
        fs_sha256_of(t.s, t.len, strings);
    }
    add_option(all, "eval.strings", strings);
    for (int i = 0; i < src->n_in; i++) {
        snprintf(name, sizeof name, "input %d", i + 1);
        json_object_set_new(all, name, hash_in(&src->in[i]));
    }
    json_object_set_new(all, "--val", src->val ? hash_in(src->val) : json_string(""));
    for (int i = 0; i < src->n_compare; i++) {
        snprintf(name, sizeof name, "--compare %.64s", src->compare_name[i]);
        json_object_set_new(all, name, hash_in(&src->compare[i]));
        snprintf(name, sizeof name, "validation of %.64s", src->compare_name[i]);
        if (src->compare_val[i])
            json_object_set_new(all, name, hash_in(src->compare_val[i]));
    }
    json_object_foreach(options, key, v)
    {
        text_clear(&t);
        json_write_text(v, false, &t);
        snprintf(name, sizeof name, "eval.%.64s", key);
        add_option(all, name, t.s);
    }
    text_release(&t);
    json_decref(options);
    return all;
}

/* Names of the members of a that b has otherwise, or has not. */
static void differences(const json_t *a, const json_t *b, bool only_absent, text *out)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)a, key, v)
    {
        const json_t *other = json_object_get(b, key);
        if (!other || (!only_absent && !json_equal(v, other)))
            text_addf(out, "%s%s", out->len ? ", " : "", key);
    }
}

int report_again(const report_opts *o, const json_t *inputs, json_t **tree, err *e)
{
    static const char *const files[] = {"report.html", "report.pdf", "tables", "figures"};
    char *done = fs_join(o->out_dir, "eval.json");
    json_t *was = NULL;
    bool there = fs_exists(done), whole = true;
    int again = 0;
    if (there && !o->force) {
        const json_t *from = NULL;
        err none = {0};
        text differ;
        text_init(&differ);
        if (json_read(done, &was, &none))
            from = json_object_get(was, "inputs");
        differences(inputs, from, false, &differ);
        differences(from, inputs, true, &differ);
        for (size_t i = 0; i < COUNT_OF(files); i++) {
            char *path = fs_join(o->out_dir, files[i]);
            whole = whole && fs_exists(path);
            mem_free(path);
        }
        if (differ.len)
            again = o->replace ? 0 : -1;
        else if (whole)
            again = 1;
        if (again < 0)
            err_set(e, ERR_USAGE,
                    "the output folder already holds a report %s%s; --force overwrites it",
                    json_is_object(from) ? "of other inputs: " : "of unknown inputs",
                    json_is_object(from) ? differ.s : "");
        text_release(&differ);
    }
    if (again > 0)
        *tree = json_incref(was);
    json_decref(was);
    mem_free(done);
    return again;
}
