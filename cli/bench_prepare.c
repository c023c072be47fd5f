/* bench prepare: CPU time of scan and prepare per image, beside the sum of decode, resize and
 * compress alone, and beside another program that does the same job (--peer), in one run. The
 * stages run as a user would start them, in a process of their own: what is measured is what the
 * system charges to it and its children. */
#include "cli/bench_prepare.h"

#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"
#include "dicom/pixels.h"
#include "preprocess/prepare_steps.h"
#include "preprocess/shard.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GROUPS  16
#define FILES   200 /* of one transfer syntax; the rest is left out */
#define WORKERS "2"
#define ARGS    (FILES + 16)

typedef struct group { /* the files of one transfer syntax */
    char syntax[65];
    char *path[FILES];
    int n;
} group;

typedef struct figures { /* CPU milliseconds per image; 0 = not measured */
    double decode, resize, compress, whole, peer;
    double rss_mib, peer_rss_mib;
} figures;

typedef struct job {
    group g[GROUPS];
    int n_groups;
    int h, w;
    const char *peer;
    char *work; /* scratch folder */
} job;

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static bool collect(void *ctx, const fs_entry *f, err *e)
{
    job *j = ctx;
    record rec;
    char *data;
    size_t len;
    if (f->bad)
        return true;
    if (!fs_read(f->path, (size_t)1 << 30, &data, &len, e))
        return false;
    reason why = record_read(data, len, &rec);
    mem_free(data);
    if (why != REASON_NONE)
        return true;
    int k = 0;
    while (k < j->n_groups && strcmp(j->g[k].syntax, rec.transfer_syntax))
        k++;
    if (k == GROUPS)
        return true;
    group *g = &j->g[k];
    if (k == j->n_groups) {
        j->n_groups++;
        text_copy(g->syntax, sizeof g->syntax, rec.transfer_syntax);
    }
    if (g->n < FILES)
        g->path[g->n++] = mem_strdup(f->path);
    return true;
}

typedef struct bench_file { /* one file while its parts are measured */
    const job *j;
    prepare_arg *q;
    void *reply;
    arena *mem;
    prepare_steps steps;
    shard_chunk chunk;
} bench_file;

/* A file as a worker sees it. */
static bool map_file(const char *path, void **data, size_t *len, err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0;
    *data = ok ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    *len = ok ? (size_t)st.st_size : 0;
    if (fd >= 0)
        close(fd);
    return *data != MAP_FAILED || err_errno(e, "a file cannot be mapped");
}

/* Map, decode and let go, as a program would that does nothing else. */
static bool decode_alone(bench_file *b, const char *path, double *ms, err *e)
{
    void *data;
    size_t len;
    record rec;
    pixels px;
    double from = cpu_now();
    arena_reset(b->mem);
    if (!map_file(path, &data, &len, e))
        return false;
    bool ok = record_read(data, len, &rec) == REASON_NONE &&
              pixels_decode(data, len, &rec, false, b->mem, &px) == REASON_NONE;
    munmap(data, len);
    *ms = cpu_now() - from;
    return ok || err_set(e, ERR_INPUT, "it cannot be decoded");
}

/* The three parts of one file alone, on one thread: what prepare itself does with it, from the
 * file in the page cache to pixels, from these to the canvas, from the canvas to a chunk. */
static bool measure_file(bench_file *b, const char *path, double t[3], err *e)
{
    void *data;
    size_t len;
    prepare_steps *s = &b->steps;
    if (!decode_alone(b, path, &t[0], e) || !map_file(path, &data, &len, e))
        return false;
    *s = (prepare_steps){.q = b->q, .a = b->mem, .out = b->reply, .reply = b->reply};
    prepare_open(b->q, sizeof *b->q, data, len, s->out);
    prepare_layout(&b->q->cfg, sizeof *s->out, s->out);
    arena_reset(b->mem);
    bool ok = prepare_judge(s, data, len);
    if (ok) {
        uint16_t *canvas = (uint16_t *)((char *)b->reply + s->out->image_at[0]);
        uint16_t *other = arena_calloc(b->mem, (size_t)b->j->h * (size_t)b->j->w * 2);
        double from = cpu_now();
        chain_draw(&s->chain, 0, other);
        t[1] = cpu_now() - from;
        from = cpu_now();
        shard_pack(canvas, b->j->h, b->j->w, b->mem, &b->chunk);
        t[2] = cpu_now() - from;
    }
    munmap(data, len);
    return ok || err_set(e, ERR_INPUT, "prepare excludes it (%s)", reason_name(s->out->primary));
}

/* Means over some files; the best of three rounds of each. */
static bool measure_parts(const cfg *config, const job *j, const group *g, figures *out, err *e)
{
    int n = g->n < 8 ? g->n : 8;
    size_t len;
    bench_file b = {.j = j, .q = prepare_request(config, NULL, &len), .mem = arena_new(1 << 20)};
    b.reply = mem_alloc(prepare_reply_cap(config));
    bool ok = true;
    for (int i = 0; ok && i < n; i++) {
        double best[3] = {1e9, 1e9, 1e9}, t[3];
        for (int round = 0; round < 3 && ok; round++) {
            ok = measure_file(&b, g->path[i], t, e);
            for (int k = 0; ok && k < 3; k++)
                best[k] = t[k] < best[k] ? t[k] : best[k];
        }
        out->decode += best[0] / n;
        out->resize += best[1] / n;
        out->compress += best[2] / n;
        if (!ok)
            err_wrap(e, "file %d of syntax %s", i + 1, g->syntax);
    }
    shard_chunk_release(&b.chunk);
    mem_free(b.reply);
    arena_free(b.mem);
    mem_free(b.q);
    return ok;
}

/* Run a program to its end; stdout goes to `to`. CPU milliseconds of it and its children. */
static bool run_program(const char *const *argv, const char *to, double *cpu, double *rss, err *e)
{
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        return err_errno(e, "cannot start a program");
    if (child == 0) {
        if (freopen(to, "w", stdout))
            execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    int status;
    struct rusage u;
    if (wait4(child, &status, 0, &u) != child || !WIFEXITED(status) || WEXITSTATUS(status))
        return err_set(e, ERR_IO, "a program of the benchmark failed (status %d): %s",
                       WIFEXITED(status) ? WEXITSTATUS(status) : -1, fs_base(argv[0]));
    *cpu += 1e3 * (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
            1e-3 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    double mib = (double)u.ru_maxrss / 1024;
    *rss = mib > *rss ? mib : *rss;
    return true;
}

/* scan and prepare as processes. */
static bool measure_whole(const job *j, const group *g, figures *out, err *e)
{
    char self[4096], sizes[64];
    const char *argv[ARGS];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    int n = 0;
    double cpu = 0;
    if (len < 0)
        return err_errno(e, "cannot find this program's own file");
    self[len] = 0;
    char *store = fs_join(j->work, "store");
    snprintf(sizes, sizeof sizes, "prepare.sizes=%dx%d", j->h, j->w);
    argv[n++] = self;
    argv[n++] = "scan";
    for (int i = 0; i < g->n; i++)
        argv[n++] = g->path[i];
    memcpy(&argv[n], ((const char *[]){"-o", store, "-q", "-j", WORKERS, NULL}), 6 * sizeof *argv);
    bool ok = fs_remove_tree(store, e) && run_program(argv, "/dev/null", &cpu, &out->rss_mib, e);
    const char *const prepare[] = {self,    "prepare", store, "-q", "-j",
                                   WORKERS, "--set",   sizes, NULL};
    ok = ok && run_program(prepare, "/dev/null", &cpu, &out->rss_mib, e);
    out->whole = cpu / g->n;
    mem_free(store);
    return ok;
}

/* PEER run OUT H W WORKERS FILE...: prints {"cpu_seconds", "images", "rss"}. */
static bool measure_peer(const job *j, const group *g, figures *out, err *e)
{
    char h[16], w[16];
    const char *argv[ARGS];
    int n = 0;
    double cpu = 0, rss = 0;
    json_t *said = NULL;
    if (!j->peer)
        return true;
    char *store = fs_join(j->work, "peer.h5"), *answer = fs_join(j->work, "peer.json");
    snprintf(h, sizeof h, "%d", j->h);
    snprintf(w, sizeof w, "%d", j->w);
    const char *const head[] = {j->peer, "run", store, h, w, WORKERS};
    for (size_t i = 0; i < COUNT_OF(head); i++)
        argv[n++] = head[i];
    for (int i = 0; i < g->n; i++)
        argv[n++] = g->path[i];
    argv[n] = NULL;
    bool ok = run_program(argv, answer, &cpu, &rss, e) && json_read(answer, &said, e);
    if (ok) {
        out->peer = 1e3 * json_number_value(json_object_get(said, "cpu_seconds")) /
                    json_number_value(json_object_get(said, "images"));
        out->peer_rss_mib = json_number_value(json_object_get(said, "rss")) / 1048576;
        ok = out->peer > 0 || err_set(e, ERR_INPUT, "the peer's answer lacks its figures");
    }
    json_decref(said);
    mem_free(store);
    mem_free(answer);
    return ok;
}

static void print_group(const cmd_args *a, const job *j, const group *g, const figures *f)
{
    double parts = f->decode + f->resize + f->compress;
    char peer[128] = "";
    if (f->peer > 0)
        snprintf(peer, sizeof peer, "; peer %.1f ms, %.0f MiB: %.2f times", f->peer,
                 f->peer_rss_mib, f->peer / f->whole);
    cmd_result(a,
               json_pack("{s:s, s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:o}",
                         "bench", "prepare", "syntax", g->syntax, "images", g->n, "height", j->h,
                         "width", j->w, "decode_ms", f->decode, "resize_ms", f->resize,
                         "compress_ms", f->compress, "cpu_ms", f->whole, "parts_share",
                         parts / f->whole, "rss_mib", f->rss_mib, "peer_cpu_ms",
                         f->peer > 0 ? json_real(f->peer) : json_null(), "peer_rss_mib",
                         f->peer > 0 ? json_real(f->peer_rss_mib) : json_null(), "ratio",
                         f->peer > 0 ? json_real(f->peer / f->whole) : json_null()),
               "prepare %s, %d images to %dx%d: %.1f ms CPU per image (decode %.1f + resize %.1f "
               "+ compress %.1f alone: %.0f %%), largest process %.0f MiB%s\n",
               g->syntax, g->n, j->h, j->w, f->whole, f->decode, f->resize, f->compress,
               100 * parts / f->whole, f->rss_mib, peer);
}

bool bench_prepare(cmd_args *a, err *e)
{
    int n, h[PREPARE_SIZES], w[PREPARE_SIZES];
    if (a->n_words != 2)
        return err_set(e, ERR_USAGE, "bench prepare wants a folder of DICOM files");
    if (!prepare_sizes(a->config, &n, h, w, e))
        return false;
    const char *tmp = getenv("TMPDIR");
    char *work = fs_join(tmp && tmp[0] ? tmp : "/tmp", "mammovit-bench-XXXXXX");
    job *j = MEM_NEW(job);
    *j = (job){.h = h[0], .w = w[0], .peer = cmd_value(a, "--peer")};
    pixels_init();
    bool ok = fs_walk(a->word[1], collect, j, e);
    if (ok && !j->n_groups)
        ok = err_set(e, ERR_INPUT, "no image there could be read");
    if (ok && !(j->work = mkdtemp(work)))
        ok = err_errno(e, "cannot make a scratch folder");
    for (int k = 0; ok && k < j->n_groups; k++) {
        figures f = {0};
        ok = measure_parts(a->config, j, &j->g[k], &f, e) && measure_whole(j, &j->g[k], &f, e) &&
             measure_peer(j, &j->g[k], &f, e);
        if (ok)
            print_group(a, j, &j->g[k], &f);
    }
    if (j->work && !fs_remove_tree(j->work, ok ? e : NULL))
        ok = false;
    for (int k = 0; k < j->n_groups; k++)
        for (int i = 0; i < j->g[k].n; i++)
            mem_free(j->g[k].path[i]);
    mem_free(j);
    mem_free(work);
    return ok;
}
