/* The check of a store and its repair: every kind of damage is found and named, mended to the bytes
 * of the undisturbed store, and nothing sound is touched; rows whose file is gone are lost loudly;
 * a SIGKILL at every kind of point costs nothing. */
#include "tests/unit/archive.h"

#include "preprocess/store_check.h"

static char id[17];

/* A prepared store. */
static char *prepared_store(const char *name)
{
    char *store = fresh(name);
    assert_int_equal(stage(store, 2, NULL), 0);
    expect_same(store);
    return store;
}

static char *shard_at(const char *store, int h, int w, int number)
{
    return prepare_shard_path(store, id, h, w, number);
}

static void check(const char *store, store_check *k)
{
    err e = {0};
    catalog *c = catalog_open(store, false, &e);
    if (!c || !store_check_run(k, c, store, NULL, &e))
        fail_msg("%s", e.msg);
    catalog_close(c);
}

static void expect_sound(const char *store)
{
    store_check k;
    check(store, &k);
    if (k.n)
        fail_msg("%s: %s", k.finding[0].name, k.finding[0].why);
    store_check_release(&k);
}

/* The finding about a file (its name begins so) and its fault; a word of the sentence. */
static void expect_finding(const store_check *k, const char *name, store_check_fault fault,
                           const char *word)
{
    char whole[128];
    snprintf(whole, sizeof whole, "prep/%s/%s", id, name);
    for (int i = 0; i < k->n; i++)
        if (strcmp(k->finding[i].name, whole) == 0 && k->finding[i].fault == fault &&
            strstr(k->finding[i].why, word))
            return;
    for (int i = 0; i < k->n; i++)
        fprintf(stderr, "  %s: %s\n", k->finding[i].name, k->finding[i].why);
    fail_msg("no finding %s about %s with '%s'", store_check_fault_name(fault), name, word);
}

static void swap_files(const char *a, const char *b)
{
    char away[PATH_MAX];
    snprintf(away, sizeof away, "%s.away", a);
    assert_true(rename(a, away) == 0 && rename(b, a) == 0 && rename(away, b) == 0);
}

static void copy_file(const char *from, const char *to)
{
    err e = {0};
    char *data;
    size_t len;
    assert_true(fs_read(from, (size_t)1 << 30, &data, &len, &e) && fs_write(to, data, len, &e));
    mem_free(data);
}

/* One shard flipped, one gone, one cut, two swapped, an orphan and two leftovers. */
static void damage(const char *store)
{
    char *flipped = shard_at(store, 512, 416, 0), *gone = shard_at(store, 128, 96, 1);
    char *cut = shard_at(store, 128, 96, 2), *a = shard_at(store, 512, 416, 3);
    char *b = shard_at(store, 512, 416, 4), *orphan = shard_at(store, 128, 96, 77);
    char *left = shard_at(store, 512, 416, 5), partial[PATH_MAX];
    err e = {0};
    flip(flipped, 30000);
    assert_int_equal(unlink(gone), 0);
    assert_int_equal(truncate(cut, 5000), 0);
    swap_files(a, b);
    copy_file(flipped, orphan);
    snprintf(partial, sizeof partial, "%s.partial", left);
    copy_file(flipped, partial);
    char *merged = fs_join(store, "parts/0123456789abcdef.partial");
    assert_true(fs_mkdirs(merged, &e));
    mem_free(merged);
    mem_free(flipped);
    mem_free(gone);
    mem_free(cut);
    mem_free(a);
    mem_free(b);
    mem_free(orphan);
    mem_free(left);
}

static void stat_of(const char *store, int h, int w, int number, struct stat *st)
{
    char *path = shard_at(store, h, w, number);
    assert_int_equal(stat(path, st), 0);
    mem_free(path);
}

static void expect_touched(const struct stat *before, const char *store, int h, int w, int number,
                           bool touched)
{
    struct stat now;
    stat_of(store, h, w, number, &now);
    bool same = now.st_ino == before->st_ino && now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
                now.st_mtim.tv_nsec == before->st_mtim.tv_nsec;
    if (same == touched)
        fail_msg("%dx%d/%05d.h5 was %stouched", h, w, number, touched ? "not " : "");
}

static void test_mend(void **state)
{
    (void)state;
    char *store = prepared_store("mend");
    struct stat large[5], small[5];
    store_check k;
    expect_sound(store);
    damage(store);
    check(store, &k);
    assert_int_equal(k.n, 8);
    assert_int_equal(k.finding[7].fault, STORE_CHECK_LEFTOVER);
    assert_string_equal(k.finding[7].name, "parts/0123456789abcdef.partial");
    expect_finding(&k, "512x416/00000.h5", STORE_CHECK_DAMAGED, "SHA-256");
    expect_finding(&k, "128x96/00001.h5", STORE_CHECK_MISSING, "missing");
    expect_finding(&k, "128x96/00002.h5", STORE_CHECK_TRUNCATED, "5000 of ");
    expect_finding(&k, "512x416/00003.h5", STORE_CHECK_SWAPPED, "bytes of 512x416/00004.h5");
    expect_finding(&k, "512x416/00004.h5", STORE_CHECK_SWAPPED, "bytes of 512x416/00003.h5");
    expect_finding(&k, "128x96/00077.h5", STORE_CHECK_ORPHAN, "no row");
    expect_finding(&k, "512x416/00005.h5.partial", STORE_CHECK_LEFTOVER, "stopped");
    store_check_release(&k);
    for (int i = 0; i < 5; i++) {
        stat_of(store, 512, 416, i, &large[i]);
        if (i != 1)
            stat_of(store, 128, 96, i, &small[i]);
    }
    assert_int_equal(stage_how(store, 2, "repair", NULL), 0);
    expect_same(store);
    expect_sound(store);
    for (int i = 0; i < 5; i++) {
        expect_touched(&large[i], store, 512, 416, i, i == 0 || i >= 3);
        if (i != 1)
            expect_touched(&small[i], store, 128, 96, i, i == 2);
    }
    mem_free(store);
}

static void test_kill(void **state)
{
    (void)state;
    static const char *const points[] = {
        "repair_mid_shard:1",     "repair_mid_shard:5",     "shard_closed:1",
        "shard_verified:2",       "repair_after_shard:1",   "repair_after_shard:4",
        "repair_before_db:1",     "repair_before_db:3",     "repair_after_db:2",
        "repair_before_remove:1", "repair_before_remove:2",
    };
    for (size_t i = 0; i < COUNT_OF(points); i++) {
        err e = {0};
        char *store = prepared_store("killed");
        damage(store);
        must_die(stage_how(store, 1 + (int)i % 2, "repair", points[i]), points[i]);
        assert_int_equal(stage_how(store, 2, "repair", NULL), 0);
        expect_same(store);
        expect_sound(store);
        assert_true(fs_remove_tree(store, &e));
        mem_free(store);
    }
}

typedef struct told {
    text said;
} told;

static void say(void *ctx, const char *what, const char *done, const char *why)
{
    text_addf(&((told *)ctx)->said, "%s: %s: %s\n", what, done, why);
}

static bool repair_here(const char *store, told *t, repair_result *r, err *e)
{
    cfg *c = config();
    repair_opts o = {store, c, 1, say, t};
    text_init(&t->said);
    bool ok = repair_run(&o, r, e);
    cfg_free(c);
    return ok;
}

/* Row, shard and place of the file `name`, and its outcome. */
typedef struct wanted {
    const char *name;
    int64_t row;
    int shard, place;
    reason primary;
    char image[33];
} wanted;

static bool find_row(void *ctx, const catalog_row *r, err *e)
{
    wanted *w = ctx;
    (void)e;
    if (strcmp(fs_base(r->path), w->name) == 0) {
        w->row = r->id;
        w->shard = r->shard;
        w->place = r->shard_row;
        w->primary = r->primary;
        memcpy(w->image, r->image, sizeof w->image);
    }
    return true;
}

static void find(const char *store, wanted *w)
{
    err e = {0};
    catalog *c = catalog_open(store, false, &e);
    assert_true(c && catalog_each(c, id, find_row, w, &e));
    catalog_close(c);
    assert_true(w->row > 0);
}

/* The file of a row is gone, or is another one: the row is lost by name, its neighbour keeps its
 * place, the other canvas is not touched, and prepare takes the row again when it is back. */
static void lose_one(bool gone)
{
    err e = {0};
    char *store = prepared_store(gone ? "lost" : "changed"), line[160];
    wanted w = {.name = "g"};
    struct stat small;
    told t;
    repair_result r;
    find(store, &w);
    char *file = store_path("archive/g"), *away = store_path("away");
    copy_file(file, away);
    if (gone)
        assert_int_equal(unlink(file), 0);
    else
        flip(file, 60000);
    char *path = shard_at(store, 512, 416, w.shard);
    flip(path, 30000);
    stat_of(store, 128, 96, w.shard, &small);
    if (!repair_here(store, &t, &r, &e))
        fail_msg("%s", e.msg);
    assert_int_equal(r.lost, 1);
    assert_int_equal(r.rebuilt, 1);
    assert_int_equal(r.changed, 1);
    snprintf(line, sizeof line, "row %lld, image %s: lost: its file %s", (long long)w.row, w.image,
             gone ? "is gone" : "has changed");
    assert_non_null(strstr(t.said.s, line));
    assert_non_null(strstr(t.said.s, "other bytes than before"));
    text_release(&t.said);
    expect_touched(&small, store, 128, 96, w.shard, false);
    expect_sound(store);
    int was = w.shard, place = w.place;
    find(store, &w);
    assert_int_equal(w.primary, REASON_IO_LOST);
    assert_int_equal(w.shard, -1);
    /* its place stays, empty */
    shard *s = shard_open(path, &e);
    shard_meta m;
    assert_true(s && shard_read_meta(s, place, &m, &e));
    assert_string_equal(m.image, w.image);
    assert_true(m.sum_all == 0 && !m.pixel_hash[0]);
    shard_close(s);
    /* the same again: nothing broken, nothing lost twice */
    if (!repair_here(store, &t, &r, &e))
        fail_msg("%s", e.msg);
    assert_true(r.lost == 0 && r.rebuilt == 0);
    text_release(&t.said);
    /* damaged once more: no outcome names the place now, and it still keeps its neighbour's */
    flip(path, 30000);
    if (!repair_here(store, &t, &r, &e))
        fail_msg("%s", e.msg);
    assert_true(r.lost == 0 && r.rebuilt == 1);
    text_release(&t.said);
    expect_sound(store);
    assert_non_null(s = shard_open(path, &e));
    assert_int_equal(shard_n(s), 2);
    assert_true(shard_read_meta(s, place, &m, &e) && !m.image[0] && m.sum_all == 0);
    assert_true(shard_read_meta(s, 1 - place, &m, &e) && m.image[0] && m.sum_all > 0);
    shard_close(s);
    /* the file is back */
    copy_file(away, file);
    assert_int_equal(stage(store, 2, NULL), 0);
    find(store, &w);
    assert_int_equal(w.primary, REASON_NONE);
    assert_int_equal(w.shard, 5);
    assert_true(was >= 0 && was < 5);
    expect_sound(store);
    mem_free(path);
    mem_free(file);
    mem_free(away);
    mem_free(store);
}

static void test_lost(void **state)
{
    (void)state;
    lose_one(true);
}

static void test_changed(void **state)
{
    (void)state;
    lose_one(false);
}

/* An archive that is not mounted costs no row. */
static void test_unmounted(void **state)
{
    (void)state;
    err e = {0};
    char *store = prepared_store("unmounted"), *archive = store_path("archive");
    char *away = store_path("archive.away");
    told t;
    repair_result r;
    damage(store);
    assert_int_equal(rename(archive, away), 0);
    assert_false(repair_here(store, &t, &r, &e));
    text_release(&t.said);
    assert_int_equal(e.code, ERR_IO);
    assert_non_null(strstr(e.msg, "mount it"));
    assert_int_equal(rename(away, archive), 0);
    assert_int_equal(stage_how(store, 1, "repair", NULL), 0);
    expect_same(store);
    mem_free(away);
    mem_free(archive);
    mem_free(store);
}

static void sql(const char *store, const char *statement)
{
    err e = {0};
    catalog *c = catalog_open(store, true, &e);
    if (!c || !db_exec(catalog_db(c), statement, &e))
        fail_msg("%s", e.msg);
    catalog_close(c);
}

/* Books that disagree with a sound shard are put right by it. */
static void test_books(void **state)
{
    (void)state;
    err e = {0};
    char *store = prepared_store("books");
    struct stat st;
    store_check k;
    told t;
    repair_result r;
    stat_of(store, 512, 416, 1, &st);
    sql(store, "UPDATE prepared SET pixel_hash = 'f00' WHERE shard = 1 AND shard_row = 0");
    sql(store, "UPDATE prepared SET shard_row = 1 - shard_row WHERE shard = 2");
    check(store, &k);
    assert_int_equal(k.n, 6); /* each row in both canvases */
    expect_finding(&k, "512x416/00001.h5", STORE_CHECK_ROWS, "row 0 has another pixel hash");
    expect_finding(&k, "128x96/00002.h5", STORE_CHECK_ROWS, "row 1 holds another image");
    store_check_release(&k);
    if (!repair_here(store, &t, &r, &e))
        fail_msg("%s", e.msg);
    text_release(&t.said);
    assert_true(r.mended == 3 && r.rebuilt == 0 && r.lost == 0);
    expect_touched(&st, store, 512, 416, 1, false);
    assert_int_equal(stage_how(store, 1, "repair", NULL), 0); /* writes the export again */
    expect_same(store);
    expect_sound(store);
    mem_free(store);
}

/* A catalogue from before shards were recorded: what is sound is recorded, what is not is named. */
static void test_old_store(void **state)
{
    (void)state;
    err e = {0};
    char *store = prepared_store("old"), *a = shard_at(store, 512, 416, 0);
    char *b = shard_at(store, 512, 416, 1);
    store_check k;
    sql(store, "DROP TABLE shard; DROP INDEX prepared_shard");
    swap_files(a, b);
    check(store, &k); /* may only read */
    assert_int_equal(k.n_unrecorded, 8);
    expect_finding(&k, "512x416/00000.h5", STORE_CHECK_ROWS, "holds another image");
    store_check_release(&k);
    swap_files(a, b);
    flip(a, 30000); /* inside an image: no hash tells */
    check(store, &k);
    assert_int_equal(k.n_unrecorded, 9);
    expect_finding(&k, "512x416/00000.h5", STORE_CHECK_ROWS, "cannot be inflated");
    store_check_release(&k);
    flip(a, 30000);
    check(store, &k);
    assert_true(k.n == 0 && k.n_unrecorded == 10);
    catalog *c = catalog_open(store, true, &e);
    assert_true(c && store_check_record(&k, c, &e));
    catalog_close(c);
    store_check_release(&k);
    flip(a, 30000);
    check(store, &k);
    assert_true(k.n == 1 && k.n_unrecorded == 0);
    expect_finding(&k, "512x416/00000.h5", STORE_CHECK_DAMAGED, "SHA-256");
    store_check_release(&k);
    mem_free(a);
    mem_free(b);
    mem_free(store);
}

/* A shard of another preparation, under a name of ours and beside ours; a config that is not ours.
 */
static void test_foreign(void **state)
{
    (void)state;
    err e = {0};
    char *store = prepared_store("foreign"), *path = shard_at(store, 128, 96, 3), sha[65];
    char other[PATH_MAX];
    store_check k;
    shard_writer *w = shard_create(path, 128, 96, &e);
    assert_true(w && shard_commit(w, "{\"prepare_id\":\"0123456789abcdef\"}", sha, &e));
    snprintf(other, sizeof other, "%s/prep/0123456789abcdef/128x96", store);
    assert_true(fs_mkdirs(other, &e));
    strcat(other, "/00000.h5");
    copy_file(path, other);
    snprintf(other, sizeof other, "%s/prep/%s/prepare.yaml", store, id);
    assert_true(fs_write(other, "prepare:\n  margin: 0.3\n", 23, &e));
    check(store, &k);
    expect_finding(&k, "128x96/00003.h5", STORE_CHECK_DAMAGED,
                   "shard of prepare id 0123456789abcdef");
    expect_finding(&k, "prepare.yaml", STORE_CHECK_CONFIG, "not the config of its folder");
    bool orphan = false;
    for (int i = 0; i < k.n; i++)
        orphan = orphan || (k.finding[i].fault == STORE_CHECK_ORPHAN &&
                            !strcmp(k.finding[i].name, "prep/0123456789abcdef/128x96/00000.h5"));
    assert_true(orphan);
    store_check_release(&k);
    assert_int_equal(stage_how(store, 1, "repair", NULL), 0);
    snprintf(other, sizeof other, "%s/prep/0123456789abcdef", store);
    assert_true(fs_remove_tree(other, &e)); /* not of this preparation: repair leaves it alone */
    expect_same(store);
    mem_free(path);
    mem_free(store);
}

/* Without one outcome every shard looks like an orphan: a catalogue made anew must not cost them.
 */
static void test_unknown(void **state)
{
    (void)state;
    err e = {0};
    char *store = prepared_store("unknown"), *path = shard_at(store, 128, 96, 0);
    told t;
    repair_result r;
    sql(store, "DELETE FROM prepared; DELETE FROM reason; DELETE FROM shard");
    assert_false(repair_here(store, &t, &r, &e));
    text_release(&t.said);
    assert_non_null(strstr(e.msg, "the catalogue knows no shard of prepare id"));
    assert_true(fs_exists(path));
    mem_free(path);
    mem_free(store);
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return archive_main(argv[1], (int)strtol(argv[2], NULL, 10), argv[3]);
    err e = {0};
    if (!realpath(argv[0], self) || !worker_start(tasks, COUNT_OF(tasks), &e))
        return 1;
    log_set_level(LOG_ERROR);
    prepare_init();
    cfg *c = config();
    prepare_id(c, id);
    cfg_free(c);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mend),      cmocka_unit_test(test_kill),
        cmocka_unit_test(test_lost),      cmocka_unit_test(test_changed),
        cmocka_unit_test(test_unmounted), cmocka_unit_test(test_books),
        cmocka_unit_test(test_old_store), cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_unknown),
    };
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, archive_setup, archive_teardown);
}
