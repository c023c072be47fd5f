/* A store of millions of rows without a hospital: scale_store STORE ARCHIVE FIRST ROWS OUT.
 * ARCHIVE was scanned into STORE with one file FIRST in it; hard links to that file become ROWS
 * files in folders of a thousand. The catalogue gets their rows (four images to an exam, two exams
 * to a woman, three vendors, every reason code), the preparation tiny images in shards, OUT/ the
 * clinical table and a table of predictions. The facts are made up, the code that writes them is
 * the program's own. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/rng.h"
#include "dicom/catalog.h"
#include "dicom/pseudo.h"
#include "preprocess/prepare_cfg.h"
#include "preprocess/prepare_stage.h"

#define IN_FOLDER 1000
#define LINKS     30000 /* to one file; file systems allow 65,000 or fewer */
#define PER_EXAM  4
#define PER_WOMAN 8
#define FIRST_DAY 14610 /* 2010-01-01 */
#define COMMIT    20000
#define EXCLUDED  10 /* one image in so many is left out */
#define SIDE      16 /* pixels of the canvas */

typedef struct place {
    int64_t id;
    int32_t at; /* of the row when the catalogue is in order */
    uint8_t primary;
} place;

typedef struct job {
    const char *store, *archive, *first, *out;
    char *root;
    int64_t rows;
    catalog *cat;
    cfg *config;
    prepare_cfg prepare;
    pseudo *keys;
    place *row;
    int64_t n, kept;
    shard_writer *writer;
    catalog_shard *shard;
    int n_shards, per_shard;
    char *provenance, id[17];
    void *chunk;
    size_t chunk_len;
    record *rec;
} job;

static void die(const char *what, const err *e)
{
    fprintf(stderr, "scale_store: %s: %s\n", what, e && e->msg[0] ? e->msg : strerror(errno));
    exit(1);
}

static uint32_t drawn(int64_t i, uint32_t purpose, uint32_t below)
{
    rng g;
    rng_init(&g, 7, RNG_TEST, (uint64_t)i, purpose);
    return rng_below(&g, below);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void path_of(int64_t i, char out[64])
{
    snprintf(out, 64, "d%04lld/f%07lld", (long long)(i / IN_FOLDER), (long long)i);
}

static void make_files(const job *j)
{
    char name[64], path[4096], base[4096] = "";
    text_copy(base, sizeof base, j->first);
    for (int64_t i = 1; i <= j->rows; i++) {
        path_of(i, name);
        snprintf(path, sizeof path, "%s/%s", j->archive, name);
        if (i == 1 || i % IN_FOLDER == 0) {
            char folder[4096];
            text_copy(folder, sizeof folder, path);
            *strrchr(folder, '/') = 0;
            if (mkdir(folder, 0777) != 0 && errno != EEXIST)
                die(folder, NULL);
        }
        if (i % LINKS) {
            if (link(base, path) != 0)
                die(path, NULL);
            continue;
        }
        FILE *f = fopen(path, "w"); /* the next file to link to */
        if (!f || fputs("the rows of these files are made up\n", f) < 0 || fclose(f) != 0)
            die(path, NULL);
        text_copy(base, sizeof base, path);
    }
}

/* ---- facts ----------------------------------------------------------------------------------- */

/* All codes in turn over the images that are left out; 0 = kept. */
static reason primary_of(int64_t i)
{
    if (i % EXCLUDED)
        return REASON_NONE;
    return (reason)(1 + i / EXCLUDED % (REASON_COUNT - 1));
}

static reason scan_reason_of(reason primary)
{
    return primary == REASON_IO_UNREADABLE || primary == REASON_IO_TRUNCATED ||
                   primary == REASON_NOT_IMAGE || primary == REASON_DECODER_CRASH
               ? primary
               : REASON_NONE;
}

static void uid_of(int64_t exam, int64_t part, char out[65])
{
    snprintf(out, 65, "1.2.826.0.1.3680043.10.999.%lld", (long long)exam);
    if (part >= 0)
        snprintf(out + strlen(out), 65 - strlen(out), ".%lld", (long long)part);
}

static void facts_of(int64_t i, record *r)
{
    static const char *const vendor[] = {"HOLOGIC", "GE", "SIEMENS"};
    static const char *const maker[] = {"HOLOGIC, Inc.", "GE MEDICAL SYSTEMS", "SIEMENS"};
    static const char *const model[] = {"Selenia Dimensions", "Senographe Pristina",
                                        "MAMMOMAT Revelation"};
    int64_t woman = i / PER_WOMAN, exam = i / PER_EXAM;
    uint32_t v = drawn(exam, 1, 3);
    record_clear(r);
    snprintf(r->patient_id, sizeof r->patient_id, "W%08lld", (long long)woman);
    uid_of(exam, -1, r->study_uid);
    uid_of(exam, 9, r->series_uid);
    uid_of(exam, i % PER_EXAM, r->sop_uid);
    snprintf(r->accession, sizeof r->accession, "A%09lld", (long long)exam);
    text_copy(r->sop_class, sizeof r->sop_class, "1.2.840.10008.5.1.4.1.1.1.2");
    text_copy(r->issuer, sizeof r->issuer, "HOSPITAL");
    r->exam_day = FIRST_DAY + (int32_t)drawn(woman, 2, 1500) + 730 * (int32_t)(exam % 2);
    text_copy(r->date_source, sizeof r->date_source, "AcquisitionDate");
    r->acquisition_time = 30000 + (int)(i % PER_EXAM) * 60;
    r->age = 50 + (int)drawn(woman, 3, 20) + 2 * (int)(exam % 2);
    r->sex = 'F';
    text_copy(r->modality, sizeof r->modality, "MG");
    text_copy(r->body_part, sizeof r->body_part, "BREAST");
    r->intent = INTENT_PRESENTATION;
    text_copy(r->image_type[0], sizeof r->image_type[0], "ORIGINAL");
    text_copy(r->image_type[1], sizeof r->image_type[1], "PRIMARY");
    r->view = i % 4 < 2 ? VIEW_CC : VIEW_MLO;
    text_copy(r->view_source, sizeof r->view_source, "ViewCodeSequence");
    r->side = i % 2 ? 'R' : 'L';
    text_copy(r->side_source, sizeof r->side_source, "ImageLaterality");
    r->implant = r->partial = r->burned_in = r->lossy = TRI_NO;
    r->kvp = 28;
    r->exposure = 60 + drawn(i, 4, 80);
    r->thickness_mm = 40 + drawn(i, 5, 30);
    r->force_n = 80 + drawn(i, 6, 60);
    r->organ_dose = 0.01 + 0.0001 * drawn(i, 7, 100);
    text_copy(r->manufacturer, sizeof r->manufacturer, maker[v]);
    text_copy(r->model, sizeof r->model, model[v]);
    text_copy(r->vendor, sizeof r->vendor, vendor[v]);
    text_copy(r->transfer_syntax, sizeof r->transfer_syntax, "1.2.840.10008.1.2.4.70");
    r->rows = 3328;
    r->cols = 2560;
    r->frames = r->samples = 1;
    r->bits_allocated = 16;
    r->bits_stored = 12;
    r->high_bit = 11;
    text_copy(r->photometric, sizeof r->photometric, "MONOCHROME2");
    r->pls = PLS_IDENTITY;
    r->row_mm = r->col_mm = 0.065;
    text_copy(r->spacing_source, sizeof r->spacing_source, "ImagerPixelSpacing");
    text_copy(r->orientation[0], sizeof r->orientation[0], i % 2 ? "P" : "A");
    text_copy(r->orientation[1], sizeof r->orientation[1], i % 2 ? "L" : "R");
    r->n_windows = 1;
    r->window_center[0] = 2048;
    r->window_width[0] = 1500 + drawn(i, 8, 500);
    text_copy(r->window_name[0], sizeof r->window_name[0], "NORMAL");
}

static void names_of(const job *j, const record *r, char patient[33], char exam[33], char image[33])
{
    pseudo_patient(j->keys, r->issuer, r->patient_id, patient);
    pseudo_name(j->keys, "exam", r->study_uid, exam);
    pseudo_name(j->keys, "image", r->sop_uid, image);
}

static void step_commit(job *j, int64_t i, err *e)
{
    if (i % COMMIT == 0 && (!catalog_commit(j->cat, e) || !catalog_begin(j->cat, e)))
        die("commit", e);
}

static void put_rows(job *j)
{
    err e = {0};
    int64_t run;
    char path[64], full[4096], patient[33], exam[33], image[33];
    if (!catalog_begin(j->cat, &e) || !catalog_next_run(j->cat, &run, &e))
        die("catalogue", &e);
    for (int64_t i = 1; i <= j->rows; i++) {
        struct stat st;
        path_of(i, path);
        snprintf(full, sizeof full, "%s/%s", j->archive, path);
        if (stat(full, &st) != 0)
            die(full, NULL);
        facts_of(i, j->rec);
        names_of(j, j->rec, patient, exam, image);
        catalog_file f = {.root = j->root,
                          .path = path,
                          .size = (uint64_t)st.st_size,
                          .mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
                          .scan_reason = scan_reason_of(primary_of(i)),
                          .header_hash = image,
                          .rec = j->rec,
                          .patient = patient,
                          .exam = exam,
                          .image = image};
        if (!catalog_put(j->cat, &f, run, &e))
            die("row", &e);
        step_commit(j, i, &e);
    }
    if (!catalog_commit(j->cat, &e) || !catalog_index(j->cat, &e))
        die("index", &e);
}

/* ---- the preparation ------------------------------------------------------------------------- */

static void end_shard(job *j, err *e)
{
    if (!j->writer)
        return;
    char *path = prepare_shard_path(j->store, j->id, SIDE, SIDE, j->n_shards);
    j->shard = mem_realloc(j->shard, (size_t)j->n_shards * sizeof *j->shard,
                           ((size_t)j->n_shards + 1) * sizeof *j->shard);
    catalog_shard *s = &j->shard[j->n_shards];
    *s = (catalog_shard){.number = j->n_shards, .h = SIDE, .w = SIDE};
    if (!prepare_commit_shard(j->writer, path, j->provenance, s, e))
        die("shard", e);
    mem_free(path);
    j->writer = NULL;
    j->n_shards++;
}

static void append(job *j, const catalog_row *r, err *e)
{
    if (j->kept % j->per_shard == 0) {
        end_shard(j, e);
        char *path = prepare_shard_path(j->store, j->id, SIDE, SIDE, j->n_shards);
        j->writer = shard_create(path, SIDE, SIDE, e);
        mem_free(path);
        if (!j->writer)
            die("shard", e);
    }
    shard_meta m = {.side = r->rec.side,
                    .view = r->rec.view == VIEW_CC ? 'C' : 'M',
                    .mm_per_px = 0.2f,
                    .breast_pixels = 100,
                    .sum_all = 60,
                    .sumsq_all = 30,
                    .sum_breast = 50,
                    .sumsq_breast = 28};
    text_copy(m.image, sizeof m.image, r->image);
    text_copy(m.exam, sizeof m.exam, r->exam);
    text_copy(m.patient, sizeof m.patient, r->patient);
    snprintf(m.pixel_hash, sizeof m.pixel_hash, "%032llx", (unsigned long long)r->id);
    if (!shard_append(j->writer, j->chunk, j->chunk_len, &m, e))
        die("shard", e);
    j->kept++;
}

static bool take(void *ctx, const catalog_row *r, err *e)
{
    job *j = ctx;
    const char *number = strrchr(r->path, '/');
    int64_t i = number ? strtoll(number + 2, NULL, 10) : 0;
    place *p = &j->row[j->n++];
    p->id = r->id;
    p->at = -1;
    p->primary = (uint8_t)(i ? primary_of(i) : r->scan_reason);
    if (p->primary == REASON_NONE) {
        p->at = (int32_t)j->kept;
        append(j, r, e);
    }
    return true;
}

static void prepare_all(job *j)
{
    err e = {0};
    uint16_t pixels[SIDE * SIDE];
    text folder;
    text_init(&folder);
    text_addf(&folder, "%s/prep/%s", j->store, j->id);
    char size[32];
    snprintf(size, sizeof size, "%dx%d", SIDE, SIDE);
    char *sub = fs_join(folder.s, size);
    for (int i = 0; i < SIDE * SIDE; i++)
        pixels[i] = (uint16_t)(i * 97);
    j->chunk = shard_compress(pixels, SIDE, SIDE, &j->chunk_len);
    j->row = MEM_ARRAY(place, j->rows + 1);
    if (!fs_mkdirs(sub, &e) || !prepare_write_yaml(folder.s, j->config, &e) ||
        !(j->provenance = prepare_provenance(j->store, j->config, &e)) ||
        !catalog_each(j->cat, NULL, take, j, &e))
        die("preparation", &e);
    end_shard(j, &e);
    if (!catalog_begin(j->cat, &e))
        die("catalogue", &e);
    for (int k = 0; k < j->n_shards; k++)
        if (!catalog_put_shard(j->cat, j->id, &j->shard[k], &e))
            die("shard row", &e);
    for (int64_t k = 0; k < j->n; k++) {
        const place *p = &j->row[k];
        catalog_row r = {.id = p->id, .primary = (reason)p->primary, .prepared = true};
        r.shard = p->at < 0 ? -1 : p->at / j->per_shard;
        r.shard_row = p->at < 0 ? -1 : p->at % j->per_shard;
        if (p->primary)
            reason_add(&r.reasons, r.primary);
        else if (k % 7 == 0)
            reason_add(&r.reasons, REASON_LOSSY);
        snprintf(r.file_hash, sizeof r.file_hash, "%032llx", (unsigned long long)p->id);
        snprintf(r.pixel_hash, sizeof r.pixel_hash, "%032llx", (unsigned long long)p->id);
        if (!catalog_set_prepared(j->cat, j->id, &r, &e))
            die("outcome", &e);
        step_commit(j, k + 1, &e);
    }
    if (!catalog_commit(j->cat, &e))
        die("commit", &e);
    text_release(&folder);
    mem_free(sub);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static FILE *create(const char *dir, const char *name)
{
    char *path = fs_join(dir, name);
    FILE *f = fopen(path, "w");
    if (!f)
        die(path, NULL);
    mem_free(path);
    return f;
}

static bool has_cancer(int64_t woman)
{
    return drawn(woman, 9, 100) == 0;
}

static void write_clinical(const job *j)
{
    FILE *f = create(j->out, "clinical.csv");
    char found[11], last[11];
    fputs("patient_id,diagnosis_date,last_negative_date\n", f);
    for (int64_t w = 0; w <= j->rows / PER_WOMAN; w++) {
        int32_t day = FIRST_DAY + (int32_t)drawn(w, 2, 1500) + 730;
        text_from_days(day + 200 + (int32_t)drawn(w, 10, 500), found);
        text_from_days(day + 1500, last);
        fprintf(f, "W%08lld,%s,%s\n", (long long)w, has_cancer(w) ? found : "",
                has_cancer(w) ? "" : last);
    }
    if (fclose(f) != 0)
        die("clinical.csv", NULL);
}

/* Scores as another network would give them: cases a little higher. */
static void write_predictions(const job *j)
{
    FILE *f = create(j->out, "predictions.csv");
    char patient[33], exam[33], image[33];
    fputs("exam_id,patient_id,image_id,laterality,view,score,logit,y,T,E,exam_day,age,vendor,"
          "device_model,split,weight,checkpoint,seed\n",
          f);
    for (int64_t i = 0; i < j->rows; i++) {
        int64_t woman = i / PER_WOMAN;
        int y = has_cancer(woman);
        facts_of(i, j->rec);
        names_of(j, j->rec, patient, exam, image);
        double logit =
            -3 + y + 2e-4 * (drawn(i, 11, 10000) + (double)drawn(woman, 12, 10000) - 1e4);
        fprintf(f, "%s,%s,%s,%c,%s,%.9f,%.6f,%d,%.2f,%d,%d,%d,%s,%s,val,1,ckpt,1\n", exam, patient,
                image, j->rec->side, j->rec->view == VIEW_CC ? "CC" : "MLO", 1 / (1 + exp(-logit)),
                logit, y, y ? 1.5 : 4.0, y, 730 * (int)(i / PER_EXAM % 2), j->rec->age,
                j->rec->vendor, j->rec->model);
    }
    if (fclose(f) != 0)
        die("predictions.csv", NULL);
}

int main(int argc, char **argv)
{
    static const cfg_group *const groups[] = {&prepare_options, &exclude_options};
    err e = {0};
    job j = {0};
    if (argc != 6 || !text_i64(argv[4], &j.rows) || j.rows < PER_WOMAN) {
        fputs("usage: scale_store STORE ARCHIVE FIRST ROWS OUT\n", stderr);
        return 2;
    }
    j.store = argv[1];
    j.archive = argv[2];
    j.first = argv[3];
    j.out = argv[5];
    j.config = cfg_new(groups, COUNT_OF(groups));
    j.rec = mem_alloc(sizeof *j.rec);
    char *base = fs_join(j.store, "catalog.db");
    if (!cfg_set(j.config, "prepare.sizes=16x16", &e) ||
        !cfg_set(j.config, "prepare.shard_mib=16", &e) || !(j.root = realpath(j.archive, NULL)) ||
        !(j.keys = pseudo_open(j.store, false, &e)) || !(j.cat = catalog_open_file(base, true, &e)))
        die("store", &e);
    prepare_id(j.config, j.id);
    if (!prepare_bind(j.config, &j.prepare, &e))
        die("config", &e);
    j.per_shard = prepare_rows_per_shard(&j.prepare);
    make_files(&j);
    put_rows(&j);
    prepare_all(&j);
    write_clinical(&j);
    write_predictions(&j);
    catalog_close(j.cat);
    printf("%lld rows, %lld images in %d shards\n", (long long)j.n, (long long)j.kept, j.n_shards);
    pseudo_free(j.keys);
    cfg_free(j.config);
    mem_free(j.rec);
    mem_free(j.row);
    mem_free(j.shard);
    mem_free(j.chunk);
    mem_free(j.provenance);
    mem_free(base);
    free(j.root);
    return 0;
}
