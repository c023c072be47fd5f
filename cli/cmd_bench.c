/* bench: how fast, as a ratio to a limit measured in the same run on the same machine. */
#include "cli/bench_prepare.h"
#include "cli/bench_step.h"

#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/worker.h"
#include "dicom/dcmtk_shim.h"
#include "dicom/pixels.h"
#include "dicom/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BENCH_HEAD 65536 /* bytes of each file that the limit of scan reads */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- decode ---------------------------------------------------------------------------------- */

#define BENCH_ROUNDS 3 /* the fastest of these counts */

enum { CODEC_JPEG_LOSSLESS, CODEC_RLE, CODEC_KINDS };
static const char *const codec_names[CODEC_KINDS] = {"jpeg_lossless", "rle"};

typedef struct codec_bench { /* ours against DCMTK's on the same files */
    int64_t files;
    double own, dcmtk; /* CPU seconds */
} codec_bench;

typedef struct decode_bench {
    int64_t files, skipped;
    double decode, copy, megapixels;
    codec_bench codec[CODEC_KINDS];
} decode_bench;

/* Time on a processor: another program that runs beside slows the clock on the wall, not this. */
static double busy(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int codec_of(const char *transfer_syntax)
{
    if (!strcmp(transfer_syntax, "1.2.840.10008.1.2.5"))
        return CODEC_RLE;
    return !strcmp(transfer_syntax, "1.2.840.10008.1.2.4.57") ||
                   !strcmp(transfer_syntax, "1.2.840.10008.1.2.4.70")
               ? CODEC_JPEG_LOSSLESS
               : CODEC_KINDS;
}

/* From the bytes of a file to samples by both, in turn. Different samples are an error. */
static bool compare_codecs(codec_bench *b, const char *data, size_t len, arena *mem, err *e)
{
    double own = INFINITY, dcmtk = INFINITY;
    uint16_t *other = NULL;
    bool same = true;
    for (int i = 0; i < BENCH_ROUNDS && same; i++) {
        record rec;
        pixels px;
        arena_reset(mem);
        double t = busy();
        if (record_read(data, len, &rec) != REASON_NONE ||
            pixels_decode(data, len, &rec, false, mem, &px) != REASON_NONE)
            break;
        t = busy() - t;
        own = t < own ? t : own;
        size_t n = (size_t)px.rows * (size_t)px.cols;
        other = other ? other : MEM_ARRAY(uint16_t, n);
        t = busy();
        if (rec.bits_allocated != 16 || !dcm_decode_all(data, len, other, n))
            break;
        t = busy() - t;
        dcmtk = t < dcmtk ? t : dcmtk;
        same = !memcmp(px.stored, other, n * sizeof *other);
    }
    mem_free(other);
    if (isfinite(own) && isfinite(dcmtk)) {
        b->files++;
        b->own += own;
        b->dcmtk += dcmtk;
    }
    return same || err_set(e, ERR_INPUT, "DCMTK reads other samples from one of the files");
}

static bool decode_file(void *ctx, const fs_entry *f, err *e)
{
    decode_bench *b = ctx;
    char *data = NULL;
    size_t len;
    record rec;
    pixels px;
    if (f->bad || !fs_read(f->path, (size_t)1 << 30, &data, &len, e)) {
        b->skipped++;
        return true;
    }
    arena *mem = arena_new(1 << 20);
    bool ok = true;
    double t = now();
    reason r = record_read(data, len, &rec);
    if (r == REASON_NONE)
        r = pixels_decode(data, len, &rec, false, mem, &px);
    t = now() - t;
    if (r == REASON_NONE) {
        size_t bytes = (size_t)px.rows * (size_t)px.cols * sizeof(uint16_t);
        void *to = mem_alloc(bytes);
        memset(to, 1, bytes);
        double c = now();
        memcpy(to, px.stored, bytes);
        b->copy += now() - c;
        b->decode += t;
        b->megapixels += 1e-6 * px.rows * px.cols;
        b->files++;
        mem_free(to);
        int kind = codec_of(rec.transfer_syntax);
        if (kind < CODEC_KINDS)
            ok = compare_codecs(&b->codec[kind], data, len, mem, e);
    } else {
        b->skipped++;
    }
    arena_free(mem);
    mem_free(data);
    return ok;
}

/* One thread, file in memory; the limits are a copy of the decoded pixels and DCMTK's decoders. */
static bool bench_decode(cmd_args *a, err *e)
{
    decode_bench b = {0};
    if (a->n_words != 2)
        return err_set(e, ERR_USAGE, "bench decode wants a folder of DICOM files");
    pixels_init();
    if (!fs_walk(a->word[1], decode_file, &b, e))
        return false;
    if (!b.files)
        return err_set(e, ERR_INPUT, "no file there could be decoded");
    text line;
    text_init(&line);
    text_addf(&line,
              "decode %" PRId64 " files (%" PRId64 " skipped): %.2f ms per file, %.0f "
              "megapixels/s on one thread, %.1f times a copy of the pixels\n",
              b.files, b.skipped, 1e3 * b.decode / (double)b.files, b.megapixels / b.decode,
              b.decode / b.copy);
    json_t *codecs = json_object();
    for (int k = 0; k < CODEC_KINDS; k++) {
        const codec_bench *c = &b.codec[k];
        if (!c->files)
            continue;
        double own = 1e3 * c->own / (double)c->files, dcmtk = 1e3 * c->dcmtk / (double)c->files;
        json_object_set_new(codecs, codec_names[k],
                            json_pack("{s:I, s:f, s:f, s:f}", "files", (json_int_t)c->files,
                                      "own_ms", own, "dcmtk_ms", dcmtk, "ratio", own / dcmtk));
        text_addf(&line,
                  "%-13s %" PRId64 " files: own %.2f ms, DCMTK %.2f ms of CPU time per file, "
                  "ratio %.2f\n",
                  codec_names[k], c->files, own, dcmtk, own / dcmtk);
    }
    cmd_result(a,
               json_pack("{s:s, s:I, s:f, s:f, s:f, s:o}", "bench", "decode", "files",
                         (json_int_t)b.files, "ms_per_file", 1e3 * b.decode / (double)b.files,
                         "megapixels_per_second", b.megapixels / b.decode, "times_copy",
                         b.decode / b.copy, "codecs", codecs),
               "%s", line.s);
    text_release(&line);
    return true;
}

/* ---- scan ------------------------------------------------------------------------------------ */

typedef struct usage {
    double wall, cpu; /* seconds; of this program and of all children that ended */
} usage;

static double seconds_of(const struct rusage *r)
{
    return (double)(r->ru_utime.tv_sec + r->ru_stime.tv_sec) +
           1e-6 * (double)(r->ru_utime.tv_usec + r->ru_stime.tv_usec);
}

static usage usage_now(void)
{
    struct rusage self, children;
    if (getrusage(RUSAGE_SELF, &self) != 0 || getrusage(RUSAGE_CHILDREN, &children) != 0)
        BUG("getrusage: error %d", errno);
    return (usage){now(), seconds_of(&self) + seconds_of(&children)};
}

static usage usage_since(usage t)
{
    usage n = usage_now();
    return (usage){n.wall - t.wall, n.cpu - t.cpu};
}

/* The limit: what any reader of headers has to do. */
static bool read_head(void *ctx, const fs_entry *f, err *e)
{
    static char head[BENCH_HEAD];
    int64_t *files = ctx;
    struct stat st;
    int fd = f->bad ? -1 : open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return true;
    *files += fstat(fd, &st) == 0 && read(fd, head, sizeof(head)) >= 0;
    close(fd);
    return true;
}

/* The first reading of the heads warms the page cache, the second is the limit; then a scan into a
 * store that is thrown away. The workers end inside the measured time: their time counts. */
static bool bench_scan(cmd_args *a, err *e)
{
    char store[] = "/tmp/mammovit-bench-XXXXXX";
    int64_t files = 0;
    scan_result r;
    if (a->n_words != 2)
        return err_set(e, ERR_USAGE, "bench scan wants a folder of DICOM files");
    if (!fs_walk(a->word[1], read_head, &files, e))
        return false;
    if (!files)
        return err_set(e, ERR_INPUT, "no file there could be read");
    if (!mkdtemp(store))
        return err_errno(e, "cannot make a folder in /tmp");
    files = 0;
    usage t = usage_now();
    bool ok = fs_walk(a->word[1], read_head, &files, e);
    usage limit = usage_since(t);
    scan_opts o = {.archive = &a->word[1],
                   .n_archives = 1,
                   .store = store,
                   .config = a->config,
                   .threads = a->threads,
                   .shard_n = 1};
    t = usage_now();
    ok = ok && scan_run(&o, &r, e);
    worker_stop();
    usage scan = usage_since(t);
    err late = {0};
    if (!fs_remove_tree(store, ok ? e : &late) || !ok)
        return false;
    double rate = (double)r.seen / scan.cpu, most = (double)files / limit.cpu;
    cmd_result(a,
               json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:o}", "bench", "scan", "files",
                         (json_int_t)r.seen, "files_per_core_second", rate, "files_per_second",
                         (double)r.seen / scan.wall, "limit_files_per_core_second", most,
                         "limit_files_per_second", (double)files / limit.wall, "ratio",
                         json_num(rate / most)),
               "scan   %" PRId64 " files: %.0f files/s per core, %.0f files/s in all = %.2f of the "
               "limit (%.0f files/s per core: open, fstat, read 64 KiB)\n",
               r.seen, rate, (double)r.seen / scan.wall, rate / most, most);
    return true;
}

static bool bench(cmd_args *a, err *e)
{
    if (!strcmp(a->word[0], "step"))
        return bench_step(a, true, e);
    if (!strcmp(a->word[0], "infer"))
        return bench_step(a, false, e);
    if (!strcmp(a->word[0], "ops"))
        return bench_ops(a, e);
    if (!strcmp(a->word[0], "sum"))
        return bench_sum(a, e);
    if (!strcmp(a->word[0], "decode"))
        return bench_decode(a, e);
    if (!strcmp(a->word[0], "prepare"))
        return bench_prepare(a, e);
    if (!strcmp(a->word[0], "scan"))
        return bench_scan(a, e);
    return err_set(e, ERR_USAGE,
                   "unknown benchmark '%s'; wanted step, infer, ops, sum, decode, prepare or scan",
                   a->word[0]);
}

static const cmd_opt opts[] = {
    {"--model", "M", "timm name (deit_small_patch16_224)"},
    {"--image-size", "S", "pixels (224)"},
    {"--keep-rate", "K", "fraction of patches kept (1)"},
    {"--batch", "B", "images per step (16)"},
    {"--steps", "N", "timed steps (30)"},
    {"--warmup", "N", "steps before them (10)"},
    {"--optimizer", "O", "of step: adamw or sgd (adamw)"},
    {"--ceiling", "TFLOPS", "of the device's products; without it one is measured"},
    {"--peer", "PROGRAM", "of prepare: another program that does the same, measured beside"},
    {NULL, NULL, NULL},
};
const cmd cmd_bench = {
    .verb = "bench",
    .usage =
        "bench step|infer [--model M] [--image-size S] [--keep-rate K] [--batch B] [--steps N] "
        "[--warmup N] [--optimizer adamw|sgd] [--ceiling TFLOPS] | bench ops | bench sum | bench "
        "decode|scan DIR | bench "
        "prepare DIR "
        "[--peer PROGRAM]",
    .summary = "speed, as a ratio to a limit measured in the same run",
    .help =
        "step: augmentation, forward, loss, backward and optimiser on random images that lie in "
        "the "
        "device's memory:\nimages/s, TFLOP/s beside the largest matrix product, memory, what is "
        "saved for backward, time by class\nof op. infer: forward only. ops: that product, a copy, "
        "attention and the products of DeiT. sum: gradients of --model summed over the processes "
        "of "
        "mpirun or srun\n(alone: a group of one), known values. decode:\nheader and pixels of real "
        "files, against a "
        "copy and against DCMTK's decoders. prepare: scan and prepare "
        "per transfer syntax, against decode, resize and\ncompress alone, and against a peer "
        "(tests/accept/peer_prepare.py). scan: a catalogue of a folder whose\nheaders are in "
        "memory, against reading the first 64 KiB of each file.",
    .fn = bench,
    .opts = opts,
    .foreign_bytes = true,
    .together = true,
    .min_words = 1,
    .max_words = 2,
};
