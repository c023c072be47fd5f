/* Keyed pseudonyms against HMAC by hand, and a key file that others could read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"
#include "dicom/pseudo.h"

static char dir[64], key_path[80];

static void names(void **state)
{
    err e = {0};
    uint8_t mac[32];
    char want[65], got[33], again[33], other[33], id[17];
    assert_null(pseudo_open(dir, false, &e));
    assert_non_null(strstr(e.msg, "mammovit scan"));
    assert_false(fs_exists(key_path));
    pseudo *p = pseudo_open(dir, true, &e);
    assert_non_null(p);
    char *key;
    size_t n;
    assert_true(fs_read(key_path, 100, &key, &n, &e));
    assert_int_equal(n, 32);
    fs_hmac_sha256(key, n, "exam|1.2.3", 10, mac);
    text_hex(mac, 16, want);
    pseudo_name(p, "exam", "1.2.3", got);
    assert_string_equal(got, want);
    pseudo_name(p, "image", "1.2.3", other);
    assert_string_not_equal(got, other);
    pseudo_name(p, "exam", "", other);
    assert_string_equal(other, "");
    pseudo_patient(p, "", "  w-0001 ", got);
    pseudo_patient(p, "", "W-0001", again);
    assert_string_equal(got, again);
    pseudo_patient(p, "Site B", "W-0001", other);
    assert_string_not_equal(got, other);
    pseudo_patient(p, "Site B", " ", other);
    assert_string_equal(other, "");
    pseudo_key_id(p, id);
    assert_int_equal(strlen(id), 16);
    pseudo_free(p);
    /* opening again gives the same key, never a new one */
    p = pseudo_open(dir, true, &e);
    pseudo_patient(p, "", "W-0001", other);
    assert_string_equal(other, again);
    pseudo_free(p);
    mem_free(key);
}

/* A further number has the name that it would have as a PatientID. */
static void other_numbers(void **state)
{
    err e = {0};
    char got[3][33], want[33];
    pseudo *p = pseudo_open(dir, true, &e);
    assert_non_null(p);
    assert_int_equal(pseudo_others(p, "", got, 3), 0);
    assert_int_equal(pseudo_others(p, "|w-0002\\Site B|X 9\\|\\junk\\trial P|12\\|5", got, 3), 3);
    pseudo_patient(p, "", "W-0002", want);
    assert_string_equal(got[0], want);
    pseudo_patient(p, "Site B", "X 9", want);
    assert_string_equal(got[1], want);
    pseudo_patient(p, "", "12", want);
    assert_string_not_equal(got[2],
                            want); /* a trial's twelfth subject is nobody's twelfth patient */
    pseudo_patient(p, "trial P", "12", want);
    assert_string_equal(got[2], want);
    assert_int_equal(pseudo_others(p, "|A\\|B", got, 1), 1);
    pseudo_free(p);
}

static void refused(void **state)
{
    err e = {0};
    struct stat st;
    assert_int_equal(stat(key_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(chmod(key_path, 0640), 0);
    assert_null(pseudo_open(dir, true, &e));
    assert_non_null(strstr(e.msg, "mode 640"));
    assert_int_equal(chmod(key_path, 0600), 0);
    assert_int_equal(truncate(key_path, 31), 0);
    assert_null(pseudo_open(dir, true, &e));
    assert_non_null(strstr(e.msg, "31 bytes, wanted 32"));
}

static int setup(void **state)
{
    memcpy(dir, "/tmp/mammovit-pseudo-XXXXXX", 28);
    if (!mkdtemp(dir))
        return -1;
    snprintf(key_path, sizeof(key_path), "%s/key", dir);
    return 0;
}
static int teardown(void **state)
{
    err e = {0};
    return fs_remove_tree(dir, &e) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(other_numbers),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
