/* The key file and the keyed names made from it. dicom.md 8. */
#include "dicom/pseudo.h"

#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_BYTES 32
#define VALUE_MAX 1024

struct pseudo {
    uint8_t key[KEY_BYTES];
    fs_hmac *mac;
};

/* Write a new key under its own name and link it into place: of two that race, one wins. */
static bool make_key(const char *store, const char *path, err *e)
{
    uint8_t key[KEY_BYTES];
    text tmp;
    text_init(&tmp);
    text_addf(&tmp, "%s/key.%ld.partial", store, (long)getpid());
    bool ok = fs_random(key, sizeof(key), e);
    int fd = ok ? open(tmp.s, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    if (ok && fd < 0)
        ok = err_errno(e, "cannot create the key of the store");
    if (ok && (write(fd, key, sizeof(key)) != KEY_BYTES || fsync(fd) != 0))
        ok = err_errno(e, "cannot write the key of the store");
    if (fd >= 0)
        close(fd);
    if (ok && link(tmp.s, path) != 0 && errno != EEXIST)
        ok = err_errno(e, "cannot put the key of the store into place");
    if (fd >= 0)
        unlink(tmp.s);
    int dir = ok ? open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir >= 0) {
        fsync(dir);
        close(dir);
    }
    explicit_bzero(key, sizeof(key));
    text_release(&tmp);
    return ok;
}

static bool read_key(const char *path, pseudo *p, err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(e, "cannot open the key of the store");
    bool ok = true;
    uint8_t more;
    if (fstat(fd, &st) != 0)
        ok = err_errno(e, "cannot read the key of the store");
    else if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0)
        ok = err_set(e, ERR_INPUT,
                     "the key of the store has mode %03o; others must not be able to read it "
                     "(wanted 600)",
                     (unsigned)st.st_mode & 0777u);
    else if (st.st_size != KEY_BYTES || read(fd, p->key, KEY_BYTES) != KEY_BYTES ||
             read(fd, &more, 1) != 0)
        ok = err_set(e, ERR_INPUT, "the key of the store has %lld bytes, wanted %d",
                     (long long)st.st_size, KEY_BYTES);
    close(fd);
    return ok;
}

pseudo *pseudo_open(const char *store, bool create, err *e)
{
    char *path = fs_join(store, "key");
    pseudo *p = MEM_NEW(pseudo);
    struct stat st;
    bool ok = true;
    if (lstat(path, &st) != 0 && errno == ENOENT)
        ok = create ? make_key(store, path, e)
                    : err_set(e, ERR_INPUT, "the store has no key; make it with mammovit scan");
    ok = ok && read_key(path, p, e);
    mem_free(path);
    if (ok) {
        p->mac = fs_hmac_new(p->key, sizeof(p->key));
        return p;
    }
    pseudo_free(p);
    return NULL;
}

void pseudo_free(pseudo *p)
{
    if (p) {
        explicit_bzero(p->key, sizeof(p->key));
        fs_hmac_free(p->mac);
    }
    mem_free(p);
}

void pseudo_name(const pseudo *p, const char *domain, const char *value, char out[33])
{
    uint8_t mac[32];
    text t;
    out[0] = '\0';
    if (!value[0])
        return;
    text_init(&t);
    text_add(&t, domain);
    text_add(&t, "|");
    text_add(&t, value);
    fs_hmac_of(p->mac, t.s, t.len, mac);
    text_hex(mac, 16, out);
    explicit_bzero(t.s, t.len);
    text_release(&t);
}

/* Trimmed, upper case, runs of blanks made one. */
static void normalise(const char *s, char *out, size_t cap)
{
    size_t n = 0;
    for (; *s && n + 1 < cap; s++) {
        if (!isspace((unsigned char)*s))
            out[n++] = (char)toupper((unsigned char)*s);
        else if (n > 0 && out[n - 1] != ' ')
            out[n++] = ' ';
    }
    while (n > 0 && out[n - 1] == ' ')
        n--;
    out[n] = '\0';
}

void pseudo_patient(const pseudo *p, const char *issuer, const char *patient_id, char out[33])
{
    char who[VALUE_MAX], by[VALUE_MAX], both[2 * VALUE_MAX];
    normalise(patient_id, who, sizeof(who));
    normalise(issuer, by, sizeof(by));
    snprintf(both, sizeof(both), "%s|%s", by, who);
    pseudo_name(p, "patient", who[0] ? both : "", out);
}

int pseudo_others(const pseudo *p, const char *other_ids, char (*out)[33], int cap)
{
    char entry[VALUE_MAX];
    int n = 0;
    for (const char *s = other_ids; *s && n < cap; s += *s == '\\') {
        size_t len = strcspn(s, "\\");
        snprintf(entry, sizeof(entry), "%.*s", (int)len, s);
        s += len;
        char *id = strchr(entry, '|');
        if (!id)
            continue;
        *id++ = '\0';
        pseudo_patient(p, entry, id, out[n]);
        n += out[n][0] != '\0';
    }
    explicit_bzero(entry, sizeof(entry));
    return n;
}

int64_t pseudo_key_at(const pseudo *p, const uint8_t *data, size_t n)
{
    char hex[2 * KEY_BYTES + 1];
    text_hex(p->key, KEY_BYTES, hex);
    const uint8_t *at = memmem(data, n, p->key, KEY_BYTES);
    if (!at)
        at = memmem(data, n, hex, 2 * KEY_BYTES);
    for (char *c = hex; !at && *c; c++)
        *c = (char)toupper((unsigned char)*c);
    if (!at)
        at = memmem(data, n, hex, 2 * KEY_BYTES);
    explicit_bzero(hex, sizeof hex);
    return at ? (int64_t)(at - data) : -1;
}

void pseudo_key_id(const pseudo *p, char out[17])
{
    char name[33];
    pseudo_name(p, "key", "identifier of the key", name);
    memcpy(out, name, 16);
    out[16] = '\0';
}
