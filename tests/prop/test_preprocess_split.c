/* Random stores: whatever is shared, copied or mislabelled, no two folds have a woman, an exam, an
 * image or a picture in common, and the books balance. */
#include "tests/unit/store.h"

enum { TRIALS = 12, SHOTS = 60 };

static char dir[64];

typedef struct names {
    char patient[8], study[8], sop[8], day[12];
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
        s[i] = (shot){.patient = k[i].patient,
                      .study = k[i].study,
                      .sop = k[i].sop,
                      .day = rng_below(g, 20) ? k[i].day : "",
                      .side = rng_below(g, 2) ? 'L' : 'R',
                      .view = pick(g, view, 3),
                      .vendor = pick(g, vendor, 3),
                      .pixels = rng_below(g, 10) ? 0 : 1 + (int)rng_below(g, 5),
                      .breast = 1 + (int)rng_below(g, 50),
                      .scanned = rng_below(g, 15) ? REASON_NONE : REASON_NOT_IMAGE,
                      .primary = rng_below(g, 10) ? REASON_NONE : REASON_IMPLANT};
    }
}

static void write_labels(rng *g, const char *path)
{
    text t;
    text_init(&t);
    text_add(&t, "patient_id,diagnosis_date,last_negative_date\n");
    for (int i = 0; i < 23; i++) { /* the last two women are unknown */
        bool cancer = rng_below(g, 3) == 0;
        text_addf(&t, "P%d,%s,%s\n", i, cancer ? "2017-03-04" : "",
                  rng_below(g, 8) ? "2019-01-01" : "");
        if (!rng_below(g, 10))
            text_addf(&t, "P%d,2016-01-01,\n", i);
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
static void check_folds(const char *store, const cohort *c, const shot *s, uint64_t seed)
{
    static seen by[4];
    memset(by, 0, sizeof by);
    for (int i = 0; i < SHOTS; i++) {
        const cohort_row *r = store_find(store, c, s[i].sop);
        char pixels[16];
        if (!r)
            continue;
        snprintf(pixels, sizeof pixels, "%d", s[i].pixels);
        see(&by[0], r->patient, r->fold, "patient", seed);
        see(&by[1], r->exam, r->fold, "exam", seed);
        see(&by[2], r->image, r->fold, "image", seed);
    }
    for (int64_t i = 0; i < c->n; i++) { /* pictures by the hash in the shard */
        shard *sh;
        shard_meta m;
        char *p = fs_join(c->dir, c->shard[c->row[i].shard[0]].file);
        OK((sh = shard_open(p, e)));
        OK(shard_read_meta(sh, c->row[i].shard_row[0], &m, e));
        assert_string_equal(m.image, c->row[i].image);
        see(&by[3], m.pixel_hash, c->row[i].fold, "picture", seed);
        shard_close(sh);
        mem_free(p);
    }
}

static void check_books(const cohort *c, uint64_t seed)
{
    json_int_t left = SHOTS;
    for (size_t i = 0; i < json_array_size(c->flow); i++) {
        const json_t *f = json_array_get(c->flow, i);
        if (json_integer_value(json_object_get(f, "n_in")) != left)
            fail_msg("seed %llu: the books do not balance", (unsigned long long)seed);
        left = json_integer_value(json_object_get(f, "n_out"));
    }
    assert_int_equal(left, c->n);
}

static void test_folds(void **state)
{
    char *store = fs_join(dir, "store"), *csv = fs_join(dir, "labels.csv"),
         *out = fs_join(dir, "COHORT.h5"), *old = fs_join(dir, "split.csv"),
         *kept = fs_join(dir, "OLD_split.csv");
    cfg *c = store_config();
    int whole = 0;
    OK(cfg_set(c, "split.test_fraction=0.3", e));
    OK(cfg_set(c, "split.val_fraction=0.2", e));
    OK(cfg_set(c, "clinical.followup_days=0", e));
    for (uint64_t seed = 1; seed <= TRIALS; seed++) {
        shot s[SHOTS];
        names k[SHOTS];
        rng g;
        cohort got;
        split_result r;
        err e = {0};
        rng_init(&g, 77, RNG_TEST, seed, 0);
        draw(&g, s, k, SHOTS);
        write_labels(&g, csv);
        store_write(store, c, s, SHOTS);
        split_opts o = {store, csv, out, NULL, c, 1, true};
        if (!split_run(&o, &r, &e)) {
            if (!strstr(e.msg, "no training image is left"))
                fail_msg("seed %llu: %s", (unsigned long long)seed, e.msg);
            continue;
        }
        OK(cohort_read(&got, out, e));
        check_folds(store, &got, s, seed);
        check_books(&got, seed);
        whole += got.n > 10;
        /* the same again with --keep of itself moves nobody */
        char *text_old;
        size_t len;
        OK(fs_read(old, 1 << 20, &text_old, &len, e));
        OK(fs_write(kept, text_old, len, e));
        o.keep = kept;
        OK(split_run(&o, &r, e));
        mem_free(text_old);
        cohort again;
        OK(cohort_read(&again, out, e));
        assert_int_equal(again.n, got.n);
        for (int64_t i = 0; i < got.n; i++)
            assert_int_equal(again.row[i].fold, got.row[i].fold);
        cohort_release(&again);
        cohort_release(&got);
    }
    assert_true(whole > TRIALS / 2); /* or the trials show nothing */
    cfg_free(c);
    mem_free(store);
    mem_free(csv);
    mem_free(out);
    mem_free(old);
    mem_free(kept);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_folds)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
