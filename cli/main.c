/* mammovit: the table of verbs, --help, --version and the exit status. */
#include "cli/cmd.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/version.h"
#include "core/worker.h"
#include "dicom/pixels.h"
#include "dicom/scan.h"
#include "preprocess/preview.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* In the order of the corridor. */
static const cmd *const verbs[] = {
    &cmd_run,    &cmd_scan,    &cmd_prepare, &cmd_split,        &cmd_train,  &cmd_predict,
    &cmd_report, &cmd_verify,  &cmd_repair,  &cmd_deid_check,   &cmd_export, &cmd_show,
    &cmd_flops,  &cmd_weights, &cmd_bench,   &cmd_demo_archive,
};

static void print_help(void)
{
    printf(
        "mammovit %s: from an archive of screening mammograms to a risk model and its report\n\n",
        version_number());
    printf("usage: mammovit VERB [words] [options]\n\nverbs:\n");
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        printf("  %-13s %s\n", verbs[i]->verb, verbs[i]->summary);
    printf("\noptions that every verb knows:\n"
           "  -c, --config FILE    YAML config; may be repeated, later files win\n"
           "      --set KEY=VALUE  one config key, after all files; may be repeated\n"
           "      --compat P       the quirks of a published program before all of these:\n"
           "                       patchdropout, evit, ppt; 'mammovit show compat' lists them\n"
           "  -j, --threads N      threads; 0 = all cores (default). Never changes a result\n"
           "      --device D       auto (the CPU), cpu, cuda, cuda:N\n"
           "      --seed N         seed of training (config key run.seed)\n"
           "  -o, --out PATH       where the result goes\n"
           "      --json           machine-readable result on stdout\n"
           "      --force          replace existing results\n"
           "      --strict         exit 1 when single items failed\n"
           "  -v, -q               more or less talk on stderr\n"
           "  -h, --help           help of the verb; 'mammovit --help config' lists every key\n"
           "      --version\n\n"
           "exit status: 0 done, 1 items failed (--strict), 2 usage, 3 config or input, 4 I/O "
           "(resumable),\n  5 memory (resumable), 6 verification mismatch, 70 internal bug, 75 "
           "stopped (resumable)\n\n"
           "try: mammovit demo-archive demo &&\n"
           "     mammovit run -c configs/demo.yaml --set run.archive=demo/archive "
           "--set run.labels=demo/clinical.csv\n");
}

static void print_verb_help(const cmd *c)
{
    printf("usage: mammovit %s\n\n%s\n", c->usage, c->help);
    if (c->opts && c->opts[0].name)
        printf("\noptions:\n");
    for (const cmd_opt *o = c->opts; o && o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", o->name, o->arg ? o->arg : "");
        printf("  %-28s %s\n", left, o->help);
    }
    printf("\nShared options: mammovit --help. Config keys: mammovit --help config.\n");
}

static void print_config_help(void)
{
    cfg *c = args_schema();
    text t;
    text_init(&t);
    cfg_help(c, &t);
    fputs(t.s, stdout);
    text_release(&t);
    cfg_free(c);
}

static const cmd *find_verb(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (!strcmp(verbs[i]->verb, name))
            return verbs[i];
    return NULL;
}

static int unknown_verb(const char *name)
{
    const char *best = NULL;
    int d = 4;
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (text_distance(verbs[i]->verb, name) < d) {
            d = text_distance(verbs[i]->verb, name);
            best = verbs[i]->verb;
        }
    fprintf(stderr, "mammovit: unknown verb '%s'%s%s; see 'mammovit --help'\n", name,
            best ? ", did you mean " : "", best ? best : "");
    return err_exit(ERR_USAGE);
}

/* Identifiers must not reach a core file. */
static void forbid_core_dumps(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static bool start_workers(err *e)
{
    static const worker_task tasks[] = {
        [SCAN_TASK] = {"scan", scan_header_task, pixels_init},
        [PREPARE_TASK] = {"prepare", prepare_image_task, prepare_init},
        [PREVIEW_TASK] = {"preview", preview_task, prepare_init},
    };
    pixels_init(); /* before the fork: every worker inherits the dictionary instead of reading it */
    return worker_start(tasks, COUNT_OF(tasks), e);
}

int main(int argc, char **argv)
{
    err e = {0};
    cmd_args args;
    if (argc < 2) {
        print_help();
        return err_exit(ERR_USAGE);
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        if (argc > 2 && !strcmp(argv[2], "config"))
            print_config_help();
        else if (argc > 2 && find_verb(argv[2]))
            print_verb_help(find_verb(argv[2]));
        else if (argc > 2)
            return unknown_verb(argv[2]);
        else
            print_help();
        return 0;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("mammovit %s (%s)\nlibraries: %s\n", version_number(), version_git(),
               pixels_libraries());
        return 0;
    }
    const cmd *c = find_verb(argv[1]);
    if (!c)
        return unknown_verb(argv[1]);
    forbid_core_dumps();
    ranks *all = NULL;
    bool leads = !c->together || ranks_number() == 0; /* the others are silent but for errors */
    bool met = !c->together || ranks_open(&all, &e), ok = met;
    memset(&args, 0, sizeof args);
    if (!leads)
        log_set_level(LOG_ERROR);
    if (met)
        ok = ranks_agree(all, args_parse(&args, c, argc - 2, argv + 2, &e), &e);
    if (!leads)
        log_set_level(LOG_ERROR);
    args.ranks = all;
    if (ok && args.help && leads) {
        print_verb_help(c);
    } else if (ok && !args.help) {
        pool_catch_signals();
        ok = (!c->foreign_bytes || start_workers(&e)) && c->fn(&args, &e);
        if (c->foreign_bytes)
            worker_stop();
    }
    if (!ok && leads)
        fprintf(stderr, "mammovit: %s: %s\n", c->verb, e.msg);
    ranks_close(all);
    cfg_free(args.config);
    if (fflush(stdout)) {
        fprintf(stderr, "mammovit: cannot write to standard output\n");
        return err_exit(ERR_IO);
    }
    return ok ? args.status : err_exit(e.code);
}
