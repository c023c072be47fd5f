/* CSV: what spreadsheets write is read, what is broken is named by line, what is written reads
 * back. */
#include "core/csv.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/mammovit-csv-XXXXXX";

/* Read everything and join it as "a|b/c|d/..."; errors become "!message". */
static void joined(csv_reader *r, err *e, text *out)
{
    if (!r) {
        text_addf(out, "!%s", e->msg);
        return;
    }
    for (int i = 0; i < csv_columns(r); i++)
        text_addf(out, "%s%s", i ? "|" : "", csv_column_name(r, i));
    int got;
    while ((got = csv_next(r, e)) == 1)
        for (int i = 0; i < csv_columns(r); i++)
            text_addf(out, "%s%s", i ? "|" : "/", csv_field(r, i));
    if (got < 0)
        text_addf(out, "!%s", e->msg);
    else
        assert_int_equal(csv_next(r, e), 0); /* the end stays the end */
    csv_close(r);
}

/* From memory, from a file, and from a pipe that gives one byte at a time. */
static void expect(const char *data, size_t len, const char *want)
{
    err e = {0};
    text out;
    text_init(&out);
    joined(csv_open_text(data, len, "/some/where/t.csv", &e), &e, &out);
    assert_string_equal(out.s, want);
    text_clear(&out);
    char *path = fs_join(dir, "t.csv");
    assert_true(fs_write(path, data, len, &e));
    joined(csv_open(path, &e), &e, &out);
    assert_string_equal(out.s, want);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        FILE *f = fopen(path, "w");
        for (size_t i = 0; f && i < len && i < 3000; i++) {
            fputc(data[i], f);
            fflush(f);
        }
        if (f && len > 3000)
            fwrite(data + 3000, 1, len - 3000, f);
        _exit(f && fclose(f) == 0 ? 0 : 1);
    }
    text_clear(&out);
    joined(csv_open(path, &e), &e, &out);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_string_equal(out.s, want);
    unlink(path);
    mem_free(path);
    text_release(&out);
}
#define EXPECT(data, want) expect(data, sizeof(data) - 1, want)

static void dialects(void **state)
{
    EXPECT("a,b\n1,2\n3,4\n", "a|b/1|2/3|4");
    EXPECT("a,b\n1,2", "a|b/1|2");
    EXPECT("a,b\r\n1,2\r\n3,4\r\n", "a|b/1|2/3|4");
    EXPECT("a,b\r1,2\r3,4", "a|b/1|2/3|4");
    EXPECT("\xEF\xBB\xBF"
           "a;b\n1,5;2\n",
           "a|b/1,5|2");
    EXPECT("\xEF\xBB\xBF\"a\";b\n1;2\n", "a|b/1|2");
    EXPECT("a\tb\n1 x\t\n\ty\n", "a|b/1 x|/|y");
    EXPECT("\"x,y,z\";b;c\n1;2;3\n", "x,y,z|b|c/1|2|3");
    EXPECT("only\n1\n2\n", "only/1/2");
    EXPECT("a,b", "a|b");
    EXPECT("\n\na;b\n\n1;2\n   \n\n3;4\n\n", "a|b/1|2/3|4");
    EXPECT("a,b\n,\n", "a|b/|");
    EXPECT("only\n\"\"\n\nx\n", "only//x");
}

static void quoting(void **state)
{
    EXPECT("a,b\n\"x\"\"y\",\"1\n2\r\n3\"\n", "a|b/x\"y|1\n2\r\n3");
    EXPECT("a,b\n  plain  ,\" kept \"  \n", "a|b/plain| kept ");
    EXPECT("a,b\n \"q,q\" ,5\" disc\n", "a|b/q,q|5\" disc");
    EXPECT("a,b\n\"\",\"\"\"\"\n", "a|b/|\"");
    EXPECT("\"a\nb\",c\n1,2\n", "a\nb|c/1|2");
}

static void broken_files(void **state)
{
    EXPECT("", "!t.csv: the file is empty; a header line is wanted");
    EXPECT("\xEF\xBB\xBF", "!t.csv: the file is empty; a header line is wanted");
    EXPECT("\n \n\n", "!t.csv: the file is empty; a header line is wanted");
    EXPECT("a,b\n1,2\n3\n5,6\n", "a|b/1|2!t.csv: line 3: 1 field, the header has 2");
    EXPECT("a,b\n\n1,2,3\n", "a|b!t.csv: line 3: more than 2 fields");
    EXPECT("a,b,c\n1,2\n", "a|b|c!t.csv: line 2: 2 fields, the header has 3");
    EXPECT("a,b\n1,\"x\ny\n", "a|b!t.csv: line 2: a quoted field is not closed");
    EXPECT("a,b\n\"x\"y,2\n", "a|b!t.csv: line 2: text behind a closing quote");
    EXPECT("a,b\n1,\0\n", "a|b!t.csv: line 2: a NUL byte (is the file UTF-16? save it as UTF-8)");
    EXPECT("a,\"b\n\0\"\n", "!t.csv: line 2: a NUL byte (is the file UTF-16? save it as UTF-8)");
    EXPECT("\xFF\xFE"
           "a\0,\0b\0",
           "!t.csv: line 1: the file is UTF-16; save it as UTF-8");
    EXPECT("a,b\nG\xF6teborg,2\n",
           "a|b!t.csv: line 2: bytes that are not UTF-8 (save the file as UTF-8)");
    EXPECT("a,b,a\n1,2,3\n", "!t.csv: line 1: columns 1 and 3 have the same name");
    EXPECT("a,,\n1,2,3\n", "a||/1|2|3");
}

static void lines_are_counted(void **state)
{
    const char data[] = "a,b\r\n\"1\n2\r\n3\",x\r\n\r\n4,5\n";
    err e = {0};
    csv_reader *r = csv_open_text(data, sizeof data - 1, "t.csv", &e);
    assert_int_equal(csv_next(r, &e), 1);
    assert_int_equal(csv_line(r), 2);
    assert_int_equal(csv_next(r, &e), 1);
    assert_int_equal(csv_line(r), 6);
    assert_string_equal(csv_field(r, 1), "5");
    csv_close(r);
}

static void errors_stick(void **state)
{
    err e = {0};
    csv_reader *r = csv_open_text("a,b\n1\n2,3\n", 10, "t.csv", &e);
    assert_int_equal(csv_next(r, &e), -1);
    err_clear(&e);
    assert_int_equal(csv_next(r, &e), -1);
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.msg, "t.csv: line 2: 1 field, the header has 2");
    assert_int_equal(csv_next(r, NULL), -1);
    csv_close(r);
    csv_close(NULL);
}

/* A field of exactly 1 MiB passes, one byte more does not; quoted and not, in memory and in files.
 */
static void long_fields(void **state)
{
    size_t mib = (size_t)1 << 20;
    for (int extra = 0; extra < 2; extra++) {
        for (int quote = 0; quote < 2; quote++) {
            text t, want;
            text_init(&t);
            text_init(&want);
            char *x = mem_alloc(mib + (size_t)extra);
            memset(x, 'x', mib + (size_t)extra);
            text_add(&t, quote ? "a,b\n1,\"" : "a,b\n1,");
            text_addn(&t, x, mib + (size_t)extra);
            text_add(&t, quote ? "\"\n" : "\n");
            text_add(&want, "a|b");
            if (extra) {
                text_add(&want,
                         "!t.csv: line 2: a field is longer than 1 MiB (is a quote left open?)");
            } else {
                text_add(&want, "/1|");
                text_addn(&want, x, mib);
            }
            expect(t.s, t.len, want.s);
            mem_free(x);
            text_release(&t);
            text_release(&want);
        }
    }
}

static void endless_rows(void **state)
{
    text t;
    text_init(&t);
    for (int i = 0; i < 20000; i++)
        text_add(&t, ",");
    err e = {0};
    assert_null(csv_open_text(t.s, t.len, "t.csv", &e));
    assert_string_equal(e.msg, "t.csv: line 1: more than 16384 fields");
    text_clear(&t);
    for (int i = 0; i < 70; i++)
        text_addf(&t, "%sc%d", i ? "," : "", i);
    text_add(&t, "\n");
    char *x = mem_alloc(1000000);
    memset(x, 'x', 1000000);
    for (int i = 0; i < 70; i++) {
        text_add(&t, i ? "," : "");
        text_addn(&t, x, 1000000);
    }
    csv_reader *r = csv_open_text(t.s, t.len, "t.csv", &e);
    assert_non_null(r);
    assert_int_equal(csv_next(r, &e), -1);
    assert_string_equal(e.msg, "t.csv: line 2: the row is longer than 64 MiB");
    csv_close(r);
    mem_free(x);
    text_release(&t);
}

static void columns(void **state)
{
    const char data[] = "Exam_ID,y,T,t\n1,NA,n/a,\n2,0,\" \",None\n";
    err e = {0};
    csv_reader *r = csv_open_text(data, sizeof data - 1, "dir/labels.csv", &e);
    int col = -5;
    assert_int_equal(csv_find(r, "exam_id"), 0);
    assert_int_equal(csv_find(r, "T"), 2);
    assert_int_equal(csv_find(r, "t"), 3);
    assert_int_equal(csv_find(r, "exam"), -1);
    assert_true(csv_require(r, "Y", &col, &e));
    assert_int_equal(col, 1);
    assert_true(csv_require(r, "t", &col, &e));
    assert_int_equal(col, 3);
    assert_false(csv_require(r, "patient_id", &col, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(
        e.msg, "labels.csv: column 'patient_id' is missing; the first line names 4 columns");
    assert_int_equal(csv_next(r, &e), 1);
    assert_false(csv_missing(r, 0));
    assert_true(csv_missing(r, 1));
    assert_true(csv_missing(r, 2));
    assert_true(csv_missing(r, 3));
    assert_int_equal(csv_next(r, &e), 1);
    assert_false(csv_missing(r, 1));
    assert_false(csv_missing(r, 2)); /* a quoted blank was meant */
    assert_true(csv_missing(r, 3));
    csv_close(r);
    r = csv_open_text("ID,id,x\n", 8, "t.csv", &e);
    assert_false(csv_require(r, "Id", &col, &e));
    assert_string_equal(e.msg, "t.csv: column 'Id' is ambiguous: 'ID' and 'id'");
    csv_close(r);
    /* no header: the first row is a patient, and stays out of the message */
    r = csv_open_text("19121212-1212,0.5\n", 18, "t.csv", &e);
    assert_false(csv_require(r, "score", &col, &e));
    assert_string_equal(e.msg, "t.csv: column 'score' is missing; the first line names 2 columns");
    csv_close(r);
}

static void missing_file(void **state)
{
    err e = {0};
    assert_null(csv_open("/nonexistent/secret/x.csv", &e));
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.msg, "x.csv: cannot open: No such file or directory");
    assert_null(csv_open("/tmp", &e));
    assert_string_equal(e.msg, "tmp: cannot read: Is a directory");
}

static void writes_little(void **state)
{
    csv_writer *w = csv_create_memory();
    csv_put(w, "a");
    csv_put(w, "x y");
    csv_put(w, "c");
    csv_end_row(w);
    csv_put_i64(w, INT64_MIN);
    csv_put_f64(w, 0.1);
    csv_put_f64(w, NAN);
    csv_end_row(w);
    csv_put(w, "say \"hi\"");
    csv_put(w, " lead");
    csv_put(w, "1,2;3\t4\n5");
    csv_end_row(w);
    size_t len = 0;
    const char *s = csv_memory(w, &len);
    const char want[] = "a,x y,c\n-9223372036854775808,0.1,\n"
                        "\"say \"\"hi\"\"\",\" lead\",\"1,2;3\t4\n5\"\n";
    assert_string_equal(s, want);
    assert_int_equal(len, sizeof want - 1);
    err e = {0};
    assert_true(csv_commit(w, &e));
    csv_discard(NULL);
}

/* Random tables of nasty fields survive writing and reading. */
static void round_trip(void **state)
{
    static const char *const piece[] = {"a",   ",",    ";", "\t",       "\"",           "\n",
                                        "\r",  "\r\n", " ", "\xc3\xa5", "\xEF\xBB\xBF", "NA",
                                        "0.5", "\"\"", "'"};
    for (uint64_t t = 0; t < 400; t++) {
        rng r;
        rng_init(&r, 3, RNG_TEST, t, 0);
        int cols = 1 + (int)rng_below(&r, 4), rows = (int)rng_below(&r, 6);
        text cell[6][4];
        csv_writer *w = csv_create_memory();
        for (int c = 0; c < cols; c++) {
            char name[16];
            snprintf(name, sizeof name, "%sc%d", rng_below(&r, 2) ? ";;;" : "", c);
            csv_put(w, name);
        }
        csv_end_row(w);
        for (int i = 0; i < rows; i++) {
            for (int c = 0; c < cols; c++) {
                text_init(&cell[i][c]);
                for (int k = (int)rng_below(&r, 5); k > 0; k--)
                    text_add(&cell[i][c], piece[rng_below(&r, COUNT_OF(piece))]);
                csv_put(w, cell[i][c].s);
            }
            csv_end_row(w);
        }
        err e = {0};
        size_t len;
        const char *data = csv_memory(w, &len);
        csv_reader *in = csv_open_text(data, len, "t.csv", &e);
        assert_non_null(in);
        assert_int_equal(csv_columns(in), cols);
        for (int i = 0; i < rows; i++) {
            assert_int_equal(csv_next(in, &e), 1);
            for (int c = 0; c < cols; c++) {
                assert_string_equal(csv_field(in, c), cell[i][c].s);
                text_release(&cell[i][c]);
            }
        }
        assert_int_equal(csv_next(in, &e), 0);
        csv_close(in);
        csv_discard(w);
    }
}

static void commit_is_atomic(void **state)
{
    err e = {0};
    char *path = fs_join(dir, "out.csv"), *tmp = fs_join(dir, "out.csv.partial"), *data;
    size_t len;
    assert_true(fs_write(path, "old\n", 4, &e));
    csv_writer *w = csv_create(path, &e);
    assert_non_null(w);
    for (int i = 0; i < 50000; i++) {
        csv_put_i64(w, i);
        csv_end_row(w);
    }
    assert_true(fs_exists(tmp));
    assert_true(fs_read(path, 100, &data, &len, &e));
    assert_string_equal(data, "old\n");
    mem_free(data);
    csv_discard(w);
    assert_false(fs_exists(tmp));
    w = csv_create(path, &e);
    for (int i = 0; i < 50000; i++) {
        csv_put_i64(w, i);
        csv_end_row(w);
    }
    assert_true(csv_commit(w, &e));
    assert_false(fs_exists(tmp));
    assert_true(fs_read(path, 1 << 20, &data, &len, &e));
    assert_memory_equal(data, "0\n1\n2\n", 6);
    assert_string_equal(data + len - 7, "\n49999\n");
    mem_free(data);
    assert_null(csv_create("/nonexistent/x.csv", &e));
    assert_int_equal(e.code, ERR_IO);
    mem_free(path);
    mem_free(tmp);
}

static void private_tables(void **state)
{
    static const mode_t masks[] = {0, 022};
    char *path = fs_join(dir, "own.csv"), *tmp = fs_join(dir, "own.csv.partial");
    for (size_t i = 0; i < COUNT_OF(masks); i++) {
        struct stat st;
        err e = {0};
        mode_t before = umask(masks[i]);
        csv_writer *w = csv_create_private(path, &e);
        umask(before);
        assert_non_null(w);
        assert_int_equal(stat(tmp, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        csv_put(w, "a");
        csv_end_row(w);
        assert_true(csv_commit(w, &e));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    mem_free(path);
    mem_free(tmp);
}

/* A full disk, played by a limit on file sizes: the old file stays, the temporary one goes. */
static void full_disk(void **state)
{
    err e = {0};
    char *path = fs_join(dir, "full.csv"), *tmp = fs_join(dir, "full.csv.partial"), *data;
    size_t len;
    assert_true(fs_write(path, "old\n", 4, &e));
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 100000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    csv_writer *w = csv_create(path, &e);
    for (int i = 0; i < 100000; i++) {
        csv_put_i64(w, i);
        csv_end_row(w);
    }
    bool ok = csv_commit(w, &e);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_false(ok);
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(e.msg, "full.csv: cannot write: File too large");
    assert_false(fs_exists(tmp));
    assert_true(fs_read(path, 100, &data, &len, &e));
    assert_string_equal(data, "old\n");
    mem_free(data);
    mem_free(path);
    mem_free(tmp);
}

static int make_dir(void **state)
{
    return mkdtemp(dir) ? 0 : -1;
}
static int drop_dir(void **state)
{
    return fs_remove_tree(dir, NULL) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialects),       cmocka_unit_test(quoting),
        cmocka_unit_test(broken_files),   cmocka_unit_test(lines_are_counted),
        cmocka_unit_test(errors_stick),   cmocka_unit_test(long_fields),
        cmocka_unit_test(endless_rows),   cmocka_unit_test(columns),
        cmocka_unit_test(missing_file),   cmocka_unit_test(writes_little),
        cmocka_unit_test(round_trip),     cmocka_unit_test(commit_is_atomic),
        cmocka_unit_test(private_tables), cmocka_unit_test(full_disk),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
