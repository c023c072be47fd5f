/* Random stores in every mode: whatever is shared, copied or mislabelled, no two folds have a
 * woman, an exam, an image or a picture in common, the books balance, --keep moves nobody, new
 * women move no old one, and the order of the files means nothing. */
#include "tests/unit/store.h"

enum { TRIALS = 5, SHOTS = 60 };

static const char *const modes[][3] = {
    {"fractions", "split.val=balanced", "split.val_natural_fraction=0.1"},
    {"fractions", "split.val=natural", "split.strata=[outcome, site, year, age, density]"},
    {"kfold", "split.folds=3", "split.fold=1"},
    {"leave_site_out", "split.leave_out=s1", "split.strata=[outcome, vendor]"},
    {"leave_vendor_out", "split.leave_out=GE", "exam.merge_same_day=true"},
    {"temporal", "split.test_from=2014-06-01", "exam.duplicate_view=keep"},
    {"column", "split.val=natural", "split.strata=[outcome]"},
};

static char dir[64];

typedef struct names {
    char patient[8], study[8], sop[8], day[12], path[16];
} names;

static const char *pick(rng *g, const char *const *of, uint32_t n)
{
    return of[rng_below(g, n)];
}

/* Few women, exams and pictures, so that they collide often. */
static void draw(rng *g, shot *s, names *k, int n)
{
    static const char *const view[] = {"CC", "MLO", "ML"}, *const vendor[] = {"GE", "HOLOGIC", ""};
    for (int i = 0; i < n; i++) {
        uint32_t who = rng_below(g, 25);
        snprintf(k[i].patient, sizeof k[i].patient, "P%u", who);
        snprintf(k[i].study, sizeof k[i].study, "S%u",
                 rng_below(g, 12) ? who * 2 + rng_below(g, 2) : rng_below(g, 50));
        snprintf(k[i].sop, sizeof k[i].sop, "I%d", rng_below(g, 15) ? i : (int)rng_below(g, 60));
        snprintf(k[i].day, sizeof k[i].day, "201%u-0%u-11", rng_below(g, 6), 1 + rng_below(g, 9));
        snprintf(k[i].path, sizeof k[i].path, "f/%d.dcm", i);
        s[i] = (shot){.path = k[i].path,
                      .patient = k[i].patient,
                      .study = k[i].study,
                      .sop = k[i].sop,
                      .day = rng_below(g, 20) ? k[i].day : "",
                      .side = rng_below(g, 2) ? 'L' : 'R',
                      .view = pick(g, view, 3),
                      .vendor = pick(g, vendor, 3),
                      .pixels = rng_below(g, 10) ? 0 : 1 + (int)rng_below(g, 5),
                      .breast = 1 + (int)rng_below(g, 50),
                      .age = 40 + (int)rng_below(g, 40),
                      .time = (int)rng_below(g, 3),
                      .processing = rng_below(g, 9) == 0,
                      .scanned = rng_below(g, 15) ? REASON_NONE : REASON_NOT_IMAGE,
                      .primary = rng_below(g, 10) ? REASON_NONE : REASON_IMPLANT};
    }
}

static void write_labels(rng *g, const char *path)
{
    text t;
    text_init(&t);
    static const char *const word[] = {"train", "val", "test", ""};
    text_add(&t, "patient_id,diagnosis_date,last_negative_date,site,density,split\n");
    for (int i = 0; i < 23; i++) { /* the last two women are unknown */
        bool cancer = rng_below(g, 3) == 0;
        text_addf(&t, "P%d,%s,%s,s%u,%u,%s\n", i, cancer ? "2017-03-04" : "",
                  rng_below(g, 8) ? "2019-01-01" : "", rng_below(g, 3), rng_below(g, 4),
                  i < 3 ? word[i] : pick(g, word, 4));
        if (!rng_below(g, 10))
            text_addf(&t, "P%d,2016-01-01,,,,\n", i);
    }
    OK(fs_write(path, t.s, t.len, e));
    text_release(&t);
}

/* Fold of each value that was seen; a second fold fails. */
typedef struct seen {
    char key[SHOTS][33];
    int fold[SHOTS], n;
} seen;

static void see(seen *s, const char *key, int fold, const char *what, uint64_t seed)
{
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->key[i], key)) {
            if (s->fold[i] != fold)
                fail_msg("seed %llu: a %s is in two folds", (unsigned long long)seed, what);
            return;
        }
    snprintf(s->key[s->n], 33, "%s", key);
    s->fold[s->n++] = fold;
}

/* Raw identity of a cohort image: the shot it came from. */
static void check_folds(const char *store, const cohort *c, const shot *s, int n, uint64_t seed)
{
    static seen by[4];
    memset(by, 0, sizeof by);
    for (int i = 0; i < n; i++) {
        const cohort_row *r = store_find(store, c, s[i].sop);
        if (!r)
            continue;
        int fold = 32 * r->fold + r->cv_fold; /* all folds of a k-fold split at once */
        see(&by[0], r->patient, fold, "patient", seed);
        see(&by[1], r->exam, fold, "exam", seed);
        see(&by[2], r->image, fold, "image", seed);
    }
    for (int64_t i = 0; i < c->n; i++) { /* pictures by the hash in the shard */
        shard *sh;
        shard_meta m;
        char *p = fs_join(c->dir, c->shard[c->row[i].shard[0]].file);
        OK((sh = shard_open(p, e)));
        OK(shard_read_meta(sh, c->row[i].shard_row[0], &m, e));
        assert_string_equal(m.image, c->row[i].image);
        see(&by[3], m.pixel_hash, 32 * c->row[i].fold + c->row[i].cv_fold, "picture", seed);
        shard_close(sh);
        mem_free(p);
    }
}

static void check_books(const cohort *c, int n, uint64_t seed)
{
    json_int_t left = n;
    for (size_t i = 0; i < json_array_size(c->flow); i++) {
        const json_t *f = json_array_get(c->flow, i);
        if (strcmp(json_string_value(json_object_get(f, "unit")), "files"))
            continue; /* rows of the clinical table have books of their own */
        if (json_integer_value(json_object_get(f, "n_in")) != left)
            fail_msg("seed %llu: the books do not balance", (unsigned long long)seed);
        left = json_integer_value(json_object_get(f, "n_out"));
    }
    assert_int_equal(left, c->n);
}

typedef struct place { /* the files of the test */
    char *store, *csv, *out, *split, *kept;
    cfg *c;
} place;

/* False: nothing is left to train on or to hold out. */
static bool run(const place *at, const char *keep, cohort *got, uint64_t seed)
{
    split_opts o = {at->store, at->csv, at->out, keep, at->c, 1, true};
    split_result r;
    err e = {0};
    if (split_run(&o, &r, &e)) {
        OK(cohort_read(got, at->out, e));
        return true;
    }
    if (!strstr(e.msg, "no training image is left") && !strstr(e.msg, "holds out nothing"))
        fail_msg("seed %llu: %s", (unsigned long long)seed, e.msg);
    return false;
}

static char *slurp(const char *path)
{
    char *s;
    size_t len;
    OK(fs_read(path, 1 << 20, &s, &len, e));
    return s;
}

static const cohort_row *find(const cohort *c, const char *image)
{
    for (int64_t i = 0; i < c->n; i++)
        if (!strcmp(c->row[i].image, image))
            return &c->row[i];
    return NULL;
}

/* Every image of `old` that is in `now`, too, has its old fold. */
static void check_kept(const cohort *old, const cohort *now, int mode, uint64_t seed)
{
    for (int64_t i = 0; i < old->n; i++) {
        const cohort_row *a = &old->row[i], *b = find(now, a->image);
        if (b && (a->fold != b->fold || a->cv_fold != b->cv_fold))
            fail_msg("seed %llu mode %d: an old image has moved", (unsigned long long)seed, mode);
    }
}

/* The same files in another order are the same split. */
static void check_order(const place *at, const shot *s, int n, uint64_t seed)
{
    shot other[SHOTS];
    cohort got;
    char *first = slurp(at->split);
    for (int i = 0; i < n; i++)
        other[i] = s[(i * 7 + 3) % n];
    store_write(at->store, at->c, other, n);
    assert_true(run(at, NULL, &got, seed));
    char *second = slurp(at->split);
    if (strcmp(first, second))
        fail_msg("seed %llu: the order of files matters", (unsigned long long)seed);
    mem_free(first);
    mem_free(second);
    cohort_release(&got);
}

/* One random store, two thirds of it first; returns whether it shows something. */
static bool one_trial(const place *at, int mode, uint64_t seed)
{
    enum { FIRST = 41 };
    shot s[SHOTS];
    names k[SHOTS];
    rng g;
    cohort part, got;
    rng_init(&g, 77, RNG_TEST, seed, (uint64_t)mode);
    draw(&g, s, k, SHOTS);
    write_labels(&g, at->csv);
    store_write(at->store, at->c, s, FIRST);
    if (!run(at, NULL, &part, seed))
        return false;
    check_folds(at->store, &part, s, FIRST, seed);
    check_books(&part, FIRST, seed);
    char *csv = slurp(at->split);
    OK(fs_write(at->kept, csv, strlen(csv), e));
    mem_free(csv);
    if (run(at, at->kept, &got, seed)) { /* the same again */
        assert_int_equal(got.n, part.n);
        check_kept(&part, &got, mode, seed);
        cohort_release(&got);
    }
    store_write(at->store, at->c, s, SHOTS); /* the rest comes in */
    if (run(at, at->kept, &got, seed)) {
        check_folds(at->store, &got, s, SHOTS, seed);
        check_books(&got, SHOTS, seed);
        check_kept(&part, &got, mode, seed);
        cohort_release(&got);
    }
    if (run(at, NULL, &got, seed)) {
        cohort_release(&got);
        check_order(at, s, SHOTS, seed);
    }
    bool shows = part.n > 10;
    cohort_release(&part);
    return shows;
}

static void test_modes(void **state)
{
    place at = {fs_join(dir, "store"),     fs_join(dir, "labels.csv"), fs_join(dir, "COHORT.h5"),
                fs_join(dir, "split.csv"), fs_join(dir, "OLD.csv"),    NULL};
    for (int m = 0; m < (int)COUNT_OF(modes); m++) {
        int shown = 0;
        char key[64];
        at.c = store_config();
        snprintf(key, sizeof key, "split.mode=%s", modes[m][0]);
        OK(cfg_set(at.c, key, e));
        OK(cfg_set(at.c, modes[m][1], e));
        OK(cfg_set(at.c, modes[m][2], e));
        OK(cfg_set(at.c, "split.test_fraction=0.3", e));
        OK(cfg_set(at.c, "split.val_fraction=0.2", e));
        OK(cfg_set(at.c, "clinical.followup_days=0", e));
        for (uint64_t seed = 1; seed <= TRIALS; seed++)
            shown += one_trial(&at, m, seed);
        if (shown <= TRIALS / 2)
            fail_msg("mode %d: only %d trials show anything", m, shown);
        cfg_free(at.c);
    }
    mem_free(at.store);
    mem_free(at.csv);
    mem_free(at.out);
    mem_free(at.split);
    mem_free(at.kept);
}

static int setup(void **state)
{
    return store_tmp("splitp", dir) ? 0 : -1;
}

static int teardown(void **state)
{
    err e = {0};
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_modes)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
