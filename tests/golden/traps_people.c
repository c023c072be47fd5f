/* The last two of the ten toy traps: women, exams and outcomes, and what may leave the hospital.
 *   traps_people PROGRAM WORK [NN]    one line for each trap: ok or not ok */
#include "tests/golden/traps_kit.h"

#include <hdf5.h>

enum { WOMEN = 16, EXAMS = 2, VIEWS = 4, IMAGES = WOMEN * EXAMS * VIEWS, JUNK = 5, COLUMNS = 128 };

/* ---- tables
 * ---------------------------------------------------------------------------------------- */

typedef struct table {
    bytes text;
    char *at, *name[COLUMNS], *cell[COLUMNS];
    int n;
} table;

/* The next line cut at its commas; quotes are taken off. Number of cells. */
static int table_cut(table *t, char **cell)
{
    int n = 0;
    if (!*t->at)
        return 0;
    for (int last = 0; !last && n < COLUMNS;) {
        char *to = t->at, *from = t->at, quoted = 0;
        cell[n++] = to;
        for (; *from && (quoted || (*from != ',' && *from != '\n')); from++)
            if (*from == '"')
                quoted = !quoted;
            else
                *to++ = *from;
        last = *from != ',';
        t->at = from + (*from != 0);
        *to = 0;
    }
    return n;
}
static table table_open(const char *path)
{
    table t = {.text = load(path)};
    put8(&t.text, 0);
    t.at = (char *)t.text.p;
    t.n = table_cut(&t, t.name);
    WANT(t.n > 1, "%s is no table", path);
    return t;
}
static int table_next(table *t)
{
    return table_cut(t, t->cell) == t->n && t->n > 0;
}
static const char *table_get(const table *t, const char *column)
{
    for (int i = 0; i < t->n; i++)
        if (strcmp(t->name[i], column) == 0)
            return t->cell[i];
    complain("no column %s", column);
    return "";
}
static int table_rows(const char *path)
{
    int n = 0;
    table t = table_open(path);
    while (table_next(&t))
        n++;
    free(t.text.p);
    return n;
}
/* The number behind "name": in a JSON text. */
static int member(const char *json, const char *name)
{
    char key[40];
    snprintf(key, sizeof(key), "\"%s\":", name);
    const char *p = strstr(json, key);
    return p ? atoi(p + strlen(key)) : -1;
}

/* ---- the archive
 * ------------------------------------------------------------------------------------- */

/* Image i: woman, exam, side and view. Woman 15 is woman 14 under another number. Cancer in exam 1
 * of women 0 to 5: left for the even ones, right for the others. */
static int woman(int i)
{
    return i / (EXAMS * VIEWS);
}
static int exam(int i)
{
    return i / VIEWS % EXAMS;
}
static char side(int i)
{
    return i / 2 % 2 ? 'R' : 'L';
}
static int cancer(int i)
{
    return woman(i) < 6 && exam(i) == 1 && side(i) == (woman(i) % 2 ? 'R' : 'L');
}
static const char *uid_of(int i)
{
    static char uid[40];
    snprintf(uid, sizeof(uid), "2.25.7731884%03d", i);
    return uid;
}
/* Which image a pseudonym is; -1: none. The key is that of %/store. */
static int image_of_name(const char *name)
{
    static char names[IMAGES][33];
    static const char *of;
    if (of != test.name) {
        for (int i = 0; i < IMAGES; i++)
            snprintf(names[i], 33, "%s", image_name(uid_of(i)));
        of = test.name;
    }
    for (int i = 0; i < IMAGES; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static void write_archive(void)
{
    FILE *ids = fopen(place("ids"), "w"), *labels = fopen(place("labels.csv"), "w");
    if (!ids || !labels)
        exit(2);
    fprintf(labels, "acc,side,cancer\nKAC-none,L,1\n");
    for (int i = 0; i < IMAGES; i++) {
        int w = woman(i), e = exam(i), mlo = i % 2, right = side(i) == 'R';
        char patient[40], other[40], name[60], accession[40], study[60], day[40];
        snprintf(patient, sizeof(patient), "QZX-%04d-K", 7731 + 13 * w);
        snprintf(other, sizeof(other), "QZX-%04d-K", 7731 + 13 * (w - 1));
        snprintf(name, sizeof(name), "Lindqvistova%02d^Aurorella", w);
        snprintf(accession, sizeof(accession), "KAC88%02d%d", w, e);
        snprintf(study, sizeof(study), "2.25.5599%02d%d", w, e);
        snprintf(day, sizeof(day), "%d06%02d", e ? 2018 : 2016, w + 1);
        uint16_t *px = phantom(64, 48, 60, 0);
        for (int k = 0; k < 64 * 48; k++)
            px[k] = (uint16_t)(px[k] + dice(k + 4099 * i, 50));
        uint16_t *stored = right ? flipped(px, 64, 48, 1) : px;
        mg m = {.uid = uid_of(i),
                .patient = patient,
                .name = name,
                .accession = accession,
                .study = study,
                .day = day,
                .rows = 64,
                .cols = 48,
                .px = stored,
                .side = right ? "R" : "L",
                .view = mlo ? "MLO" : "CC",
                .row_code = right ? "P" : "A",
                .col_code = mlo     ? (right ? "FL" : "FR")
                            : right ? "L"
                                    : "R",
                .spacing = "0.1\\0.1"};
        if (w == 15)
            str(&m.in8, 0x0010, 0x1000, "LO", other);
        save_mg(m);
        free(m.in8.p);
        free(px);
        if (right)
            free(stored);
        if (i % VIEWS)
            continue;
        fprintf(ids, "%s\nLindqvistova\n%s\n%s\n%s\n%.4s-%.2s-%.2s\n2.25.7731884\n", patient,
                accession, study, day, day, day + 4, day + 6);
        if (w == 10) /* a row for both sides; woman 11's first exam has none */
            fprintf(labels, "%s,,0\n", accession);
        else if (w != 11 || e)
            fprintf(labels, "%s,L,%d\n%s,R,%d\n", accession, cancer(i), accession, cancer(i + 2));
    }
    fclose(ids);
    fclose(labels);
    /* what no archive is free of */
    mg m = {.uid = "2.25.7731884900", .rows = 64, .cols = 48};
    bytes b = mammogram(&m);
    save("archive/empty", "", 0);
    save("archive/note.txt", "Lindqvistova03 called\n", 22);
    save("archive/header-cut", b.p, 300);
    save("archive/pixels-cut", b.p, b.n); /* says that it has pixels, and has none */
    save("archive/dicom-only", b.p, 132);
    free(b.p);
    static const char map[] =
        "about: a row for each breast of an exam\noutcome: class\ntables:\n  exams:\n"
        "    join: [accession, side]\n    accession: acc\n    side: side\n"
        "    cancer: cancer\n";
    save("map.yaml", map, sizeof(map) - 1);
}

#define KEYS                                                                                       \
    "--set 'prepare.sizes=[64x48]' --set prepare.shard_mib=1 --set split.test_fraction=0.3 "       \
    "--set split.val_fraction=0.3 --set labels.level=breast --set labels.mapping=%/map.yaml "

static void corridor(void)
{
    write_archive();
    must("@ scan %/archive -o %/store -v >%/log 2>&1");
    must("@ prepare %/store " KEYS "-v >>%/log 2>&1");
    must("@ split %/store --labels %/labels.csv " KEYS "-o %/cohort.h5 -v >>%/log 2>&1");
    must("@ show %/store --export %/catalog.csv " KEYS "-v >>%/log 2>&1");
    must("@ export %/cohort.h5 -o %/out --format png " KEYS "-v >>%/log 2>&1");
    must("@ verify %/cohort.h5 -v >>%/log 2>&1");
}

/* ---- (9)
 * --------------------------------------------------------------------------------------------- */

/* No woman, exam or file in two folds; labels by side; every file ends somewhere. */
static void trap_09(void)
{
    char fold[WOMEN][16] = {{0}}, exam_name[WOMEN][EXAMS][33] = {{{0}}},
         split_of[IMAGES][16] = {{0}};
    int kept = 0, positive = 0, unlabelled = 0, rows = 0;
    corridor();
    table t = table_open(place("split.csv"));
    while (table_next(&t)) {
        int i = image_of_name(table_get(&t, "image_id"));
        WANT(i >= 0, "split.csv holds an unknown image");
        if (i < 0)
            continue;
        int w = woman(i) == 15 ? 14 : woman(i);
        const char *s = table_get(&t, "split"), *y = table_get(&t, "y_h0");
        WANT(!fold[w][0] || strcmp(fold[w], s) == 0, "woman %d is in %s and in %s", w, fold[w], s);
        snprintf(fold[w], sizeof(fold[w]), "%s", s);
        WANT(!split_of[i][0], "image %d stands there twice", i);
        snprintf(split_of[i], sizeof(split_of[i]), "%s", s);
        char *name = exam_name[woman(i)][exam(i)];
        WANT(!*name || strcmp(name, table_get(&t, "exam_id")) == 0,
             "an exam of woman %d has two names", w);
        snprintf(name, 33, "%s", table_get(&t, "exam_id"));
        WANT(atoi(y) == cancer(i) && *y, "woman %d, exam %d, side %c: label %s, not %d", woman(i),
             exam(i), side(i), y, cancer(i));
        WANT(*table_get(&t, "laterality") == side(i), "image %d has another side", i);
        positive += atoi(y) == 1;
        kept++;
    }
    free(t.text.p);
    for (const char *const *s = (const char *const[]){"train", "val", "test", NULL}; *s; s++) {
        int found = 0;
        for (int w = 0; w < WOMEN; w++)
            found |= strcmp(fold[w], *s) == 0;
        WANT(found, "nobody is in %s", *s);
    }
    WANT(positive == 12, "%d positive images, not two of each of six breasts", positive);
    /* left out by split: the exam without a row, and nothing without a reason */
    t = table_open(place("split_exclusions.csv"));
    while (table_next(&t)) {
        int i = image_of_name(table_get(&t, "image_id"));
        const char *reason = table_get(&t, "reason");
        WANT(*reason, "an image is left out of the cohort without a reason");
        WANT(i >= 0 && woman(i) == 11 && exam(i) == 0 && strcmp(reason, "NO_LABEL") == 0,
             "image %d is left out: %s", i, reason);
        unlabelled++;
    }
    free(t.text.p);
    WANT(kept + unlabelled == IMAGES && unlabelled == VIEWS,
         "%d in the cohort and %d left out of %d", kept, unlabelled, IMAGES);
    t = table_open(place("split_unmatched.csv"));
    while (table_next(&t))
        rows += strcmp(table_get(&t, "kind"), "row") == 0;
    free(t.text.p);
    WANT(rows == 1, "%d rows without an image are listed, not 1", rows);
    /* every file: a row of the catalogue with an image or a reason, and in the counts */
    int files = 0, with_image = 0, with_reason = 0;
    t = table_open(place("catalog.csv"));
    while (table_next(&t)) {
        int shown = atoi(table_get(&t, "shard")) >= 0, reason = *table_get(&t, "primary") != 0;
        WANT(shown != reason, "a file has %s", shown ? "an image and a reason" : "no outcome");
        with_image += shown;
        with_reason += reason;
        files++;
    }
    free(t.text.p);
    WANT(files == IMAGES + JUNK && with_reason == JUNK && with_image == IMAGES,
         "%d files of %d, %d with an image, %d with a reason", files, IMAGES + JUNK, with_image,
         with_reason);
    bytes flow = load(place("store/flow.json"));
    put8(&flow, 0);
    const char *j = (const char *)flow.p;
    WANT(member(j, "seen") == files && member(j, "kept") == IMAGES &&
             member(j, "kept") + member(j, "excluded") + member(j, "failed") == files,
         "books: %.120s", j);
    free(flow.p);
    WANT(table_rows(place("store/exclusions.csv")) == JUNK,
         "exclusions.csv does not list the others");
}

/* ---- (10)
 * -------------------------------------------------------------------------------------------- */

/* All texts of an HDF5 file, also of compressed data sets, behind one another. */
static herr_t spill_one(hid_t at, const char *name, const H5O_info_t *info, void *file)
{
    if (info->type != H5O_TYPE_DATASET)
        return 0;
    hid_t d = H5Dopen2(at, name, H5P_DEFAULT), type = H5Dget_type(d), space = H5Dget_space(d);
    size_t n = (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type);
    if (H5Tget_class(type) == H5T_STRING && !H5Tis_variable_str(type) && n) {
        char *p = calloc(n, 1);
        WANT(H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, p) >= 0, "%s cannot be read", name);
        fprintf(file, "%s\n", name);
        fwrite(p, 1, n, file);
        fputc('\n', file);
        free(p);
    }
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(d);
    return 0;
}
static void spill_h5(const char *path, FILE *to)
{
    hid_t f = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    WANT(f >= 0, "%s cannot be opened", path);
    if (f >= 0) {
        H5Ovisit(f, H5_INDEX_NAME, H5_ITER_INC, spill_one, to);
        H5Fclose(f);
    }
}
/* The first line of what a shell line prints. */
static const char *first_line(const char *line)
{
    static char text[2 * PATH_SIZE];
    must(line);
    snprintf(text, sizeof(text), "%.*s", (int)strcspn(said, "\n"), said);
    return text;
}

#define LEAVES                                                                                     \
    "%/store/prep %/store/flow.json %/store/exclusions.csv %/cohort.h5 %/split.csv "               \
    "%/split_exclusions.csv %/split_merges.csv %/split_summary.csv %/split_unmatched.csv %/out"

static void search_identifiers(void)
{
    FILE *f = fopen(place("strings"), "w");
    spill_h5(first_line("find %/store/prep -name '[0-9]*.h5'"), f);
    spill_h5(place("cohort.h5"), f);
    fclose(f);
    WANT(call("grep -c . %/strings && test -s %/log") == 0, "nothing to look into");
    WANT(call("grep -qraF -f %/ids %/archive") == 0, "the list of identifiers is empty");
    WANT(call("grep -laF -f %/ids %/store/catalog.db") == 0, "the catalogue holds no identifiers");
    WANT(call("grep -rlaF -f %/ids " LEAVES " %/strings %/log %/catalog.csv") == 1,
         "identifiers in %s", said);
    WANT(call("! find " LEAVES " -print | sed 's/.*trap_10//' | grep -F -f %/ids") == 0,
         "names of files: %s", said);
    WANT(call("@ deid-check %/store " LEAVES) == 0, "deid-check: %.200s", said);
    /* it finds what is put there, and does not say it */
    must("cp %/split.csv %/planted.csv && head -n 1 %/ids >>%/planted.csv");
    WANT(call("@ deid-check %/store %/planted.csv") == 6,
         "deid-check passes over a patient's number");
    WANT(!strstr(said, "QZX-"), "deid-check prints the number");
    /* key: for nobody else, and in no file that leaves */
    must("od -An -v -tx1 %/store/key | tr -d ' \\n' >%/keyhex");
    struct stat s;
    WANT(stat(place("store/key"), &s) == 0 && s.st_size == 32 && (s.st_mode & 0777) == 0600,
         "mode of the key");
    WANT(stat(place("store/catalog.db"), &s) == 0 && (s.st_mode & 0777) == 0600,
         "mode of the catalogue");
    WANT(call("grep -rlaiF -f %/keyhex " LEAVES " %/strings %/log") == 1, "the key is in %s", said);
    bytes key = load(place("store/key")), h5 = load(place("cohort.h5"));
    WANT(!memmem(h5.p, h5.n, key.p, key.n), "the key is in the cohort");
    free(key.p);
    free(h5.p);
}

/* How many pseudonyms of one export occur in another. */
static int common(const char *a, const char *b, int *n)
{
    int same = 0;
    static const char *const columns[] = {"image_id", "exam_id", "patient_id"};
    table t = table_open(a);
    bytes other = load(b);
    put8(&other, 0);
    for (*n = 0; table_next(&t);)
        for (int k = 0; k < 3; k++, ++*n)
            same += strstr((char *)other.p, table_get(&t, columns[k])) != NULL;
    free(t.text.p);
    free(other.p);
    return same;
}

/* A shard that is away is an error for everybody who needs it, and no image of zeros. */
static void lose_a_shard(void)
{
    char line[4 * PATH_SIZE], shard[2 * PATH_SIZE];
    snprintf(shard, sizeof(shard), "%s", first_line("find %/store/prep -name '[0-9]*.h5'"));
    WANT(call("@ verify %/cohort.h5") == 0, "verify of a whole cohort: %.200s", said);
    snprintf(line, sizeof(line), "mv %s %%/away", shard);
    must(line);
    WANT(call("@ verify %/cohort.h5") == 6 && strstr(said, strrchr(shard, '/') + 1),
         "verify: %.200s", said);
    WANT(call("@ verify %/store") == 6, "verify of the store: %.200s", said);
    int status = call("@ export %/cohort.h5 -o %/zeros --format png " KEYS);
    WANT(status == 3 || status == 4 || status == 6, "export ends with %d: %.200s", status, said);
    WANT(call("ls %/zeros/*.png") != 0, "export writes images of a shard that is not there");
    status =
        call("@ train " KEYS "--set run.cohort=%/cohort.h5 --set model.name=vit_tiny_patch16_224 "
             "--set model.depth=1 --set train.epochs=1 -o %/run");
    WANT(status == 3 || status == 4 || status == 6, "train ends with %d: %.200s", status, said);
    snprintf(line, sizeof(line), "mv %%/away %s", shard);
    must(line);
    /* zeros of the right length in its place are no shard either */
    struct stat size;
    FILE *f = stat(shard, &size) == 0 ? fopen(shard, "r+") : NULL;
    for (off_t i = 0; f && i < size.st_size; i++)
        fputc(0, f);
    WANT(f && fclose(f) == 0, "%s cannot be overwritten", shard);
    WANT(call("@ verify %/cohort.h5") == 6, "verify of zeros: %.200s", said);
}

/* (10) Identifiers stay; pseudonyms hang on a key; a missing shard is an error. */
static void trap_10(void)
{
    int n = 0, same;
    corridor();
    search_identifiers();
    must("mkdir %/store3 && cp -p %/store/key %/store3/key");
    must("for s in 2 3; do @ scan %/archive -o %/store$s -q && @ prepare %/store$s " KEYS "-q && "
         "@ export %/store$s -o %/out$s --format png " KEYS "-q || exit 1; done");
    same = common(place("out2/images.csv"), place("split.csv"), &n);
    WANT(n == 3 * IMAGES && same == 0, "another key: %d of %d pseudonyms are the same", same, n);
    must("@ export %/store -o %/out1 --format png " KEYS "-q");
    same = common(place("out3/images.csv"), place("out1/images.csv"), &n);
    WANT(n == 3 * IMAGES && same == n, "the same key: %d of %d pseudonyms are the same", same, n);
    lose_a_shard();
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    test.program = argv[1];
    test.work = argv[2];
    if (argc < 4 || strcmp(argv[3], "09") == 0)
        run_trap("trap_09", trap_09);
    if (argc < 4 || strcmp(argv[3], "10") == 0)
        run_trap("trap_10", trap_10);
    return test.failed > 0;
}
