/* Files: walking, atomic writing, reading, locking, hashing. Relative names are handled through
 * folder descriptors where a tree is walked or removed, so that a swapped folder cannot lead the
 * program outside. OpenSSL and xxHash are seen by this file only. */
#include "core/fs.h"
#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define DEPTH_MAX  200 /* one descriptor per level is held; below the usual limit of 1024 */
#define READ_CHUNK ((size_t)1 << 16)
#define HASH_CHUNK ((size_t)1 << 17) /* what was read is still near when it is hashed */

static const char partial[] = ".partial";

/* ---- names ----------------------------------------------------------------------------------- */

char *fs_join(const char *a, const char *b)
{
    text t;
    text_init(&t);
    if (*a && *b != '/') {
        text_add(&t, a);
        if (*b && a[strlen(a) - 1] != '/')
            text_addn(&t, "/", 1);
    }
    text_add(&t, b);
    return text_take(&t);
}

const char *fs_base(const char *path)
{
    const char *base = path;
    for (const char *p = path; *p; p++)
        if (*p == '/' && p[1])
            base = p + 1;
    return base;
}

/* The folder that holds path; owned by the caller. */
static char *folder_of(const char *path)
{
    size_t n = (size_t)(fs_base(path) - path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    text t;
    text_init(&t);
    if (n)
        text_addn(&t, path, n);
    else
        text_add(&t, ".");
    return text_take(&t);
}

bool fs_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool fs_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool fs_mkdirs(const char *path, err *e)
{
    char *p = mem_strdup(path);
    bool ok = true;
    for (char *s = p; ok; s++) {
        if ((*s == '/' && s > p && s[-1] != '/') || (!*s && s > p)) {
            char kept = *s;
            *s = 0;
            if (mkdir(p, 0777) != 0 && !(errno == EEXIST && fs_is_dir(p)))
                ok = err_errno(e, "cannot make the folder '%s'", p);
            *s = kept;
        }
        if (!*s)
            break;
    }
    if (!*path)
        ok = err_set(e, ERR_IO, "cannot make a folder without a name");
    mem_free(p);
    return ok;
}

/* ---- walk ------------------------------------------------------------------------------------ */

typedef struct item {
    char *name; /* owned; a folder that will be entered ends in '/', which puts it in path order */
    const char *bad;
    uint64_t size;
    int64_t mtime_ns;
} item;

typedef struct walk {
    fs_visit *visit;
    void *ctx;
    text path;
    size_t root_len; /* of the path up to the first byte of the relative part */
    struct seen {
        dev_t dev;
        ino_t ino;
    } * seen; /* open addressing, ino 0 with dev 0 is free */
    size_t n_seen, cap_seen;
} walk;

/* True when the folder is new. */
static bool first_visit(walk *w, dev_t dev, ino_t ino)
{
    if (2 * (w->n_seen + 1) > w->cap_seen) {
        size_t cap = w->cap_seen ? 2 * w->cap_seen : 64;
        struct seen *old = w->seen;
        size_t old_cap = w->cap_seen;
        w->seen = mem_calloc(cap, sizeof *w->seen);
        w->cap_seen = cap;
        w->n_seen = 0;
        for (size_t i = 0; i < old_cap; i++)
            if (old[i].dev || old[i].ino)
                first_visit(w, old[i].dev, old[i].ino);
        mem_free(old);
    }
    size_t i = ((size_t)ino * 0x9E3779B97F4A7C15u ^ (size_t)dev) & (w->cap_seen - 1);
    while (w->seen[i].dev || w->seen[i].ino) {
        if (w->seen[i].dev == dev && w->seen[i].ino == ino)
            return false;
        i = (i + 1) & (w->cap_seen - 1);
    }
    w->seen[i].dev = dev;
    w->seen[i].ino = ino;
    w->n_seen++;
    return true;
}

static const char *why_unreadable(int number)
{
    switch (number) {
    case EACCES:
    case EPERM:
        return "permission denied";
    case ENOENT:
        return "vanished during the walk";
    case EMFILE:
    case ENFILE:
        return "too many open files";
    case ENAMETOOLONG:
        return "path too long";
    case EIO:
        return "input/output error";
    default:
        return "cannot be opened";
    }
}

static void fill_stat(item *it, const struct stat *st)
{
    it->size = st->st_size > 0 ? (uint64_t)st->st_size : 0;
    it->mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static item look_at(int dir, const char *name)
{
    item it = {0};
    struct stat st;
    size_t n = strlen(name);
    it.name = mem_alloc(n + 2);
    memcpy(it.name, name, n + 1);
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        it.bad = why_unreadable(errno);
        return it;
    }
    fill_stat(&it, &st);
    if (S_ISDIR(st.st_mode)) {
        if (faccessat(dir, name, R_OK | X_OK, AT_EACCESS) != 0)
            it.bad = why_unreadable(errno);
        else
            memcpy(it.name + n, "/", 2);
    } else if (S_ISLNK(st.st_mode)) {
        it.bad = "symbolic link";
    } else if (!S_ISREG(st.st_mode)) {
        it.bad = "not a regular file";
    } else if (faccessat(dir, name, R_OK, AT_EACCESS) != 0) {
        it.bad = why_unreadable(errno);
    }
    return it;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const item *)a)->name, ((const item *)b)->name);
}

/* All entries of the folder, sorted. Closes fd. */
static bool list_folder(int fd, item **items, size_t *count, int *failed)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        *failed = errno;
        close(fd);
        return false;
    }
    size_t n = 0, cap = 0;
    *items = NULL;
    for (;;) {
        errno = 0;
        struct dirent *de = readdir(d);
        if (!de)
            break;
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
            continue;
        if (n == cap) {
            size_t grown = cap ? 2 * cap : 32;
            *items = mem_realloc(*items, n * sizeof **items, grown * sizeof **items);
            cap = grown;
        }
        (*items)[n++] = look_at(dirfd(d), de->d_name);
    }
    *failed = errno;
    closedir(d);
    if (n)
        qsort(*items, n, sizeof **items, by_name);
    *count = n;
    return *failed == 0;
}

static void free_items(item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mem_free(items[i].name);
    mem_free(items);
}

static bool call_visit(walk *w, const item *it, const char *bad, err *e)
{
    fs_entry entry = {.path = w->path.s,
                      .relative = w->path.s + w->root_len,
                      .size = it->size,
                      .mtime_ns = it->mtime_ns,
                      .bad = bad};
    if (!bad && w->path.len >= PATH_MAX)
        entry.bad = "path too long";
    return w->visit(w->ctx, &entry, e);
}

static bool walk_folder(walk *w, int fd, int depth, err *e);

/* The path of w names the folder, with a '/' at its end. */
static bool enter_folder(walk *w, int dir, const item *it, int depth, err *e)
{
    const char *bad = NULL;
    struct stat st;
    int fd = -1;
    if (depth >= DEPTH_MAX)
        bad = "nested too deeply";
    else if ((fd = openat(dir, it->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        bad = why_unreadable(errno);
    else if (fstat(fd, &st) != 0)
        bad = why_unreadable(errno);
    if (!bad) {
        if (first_visit(w, st.st_dev, st.st_ino))
            return walk_folder(w, fd, depth, e);
        close(fd);
        return true;
    }
    if (fd >= 0)
        close(fd);
    w->path.s[--w->path.len] = 0;
    return call_visit(w, it, bad, e);
}

/* Takes over fd. */
static bool walk_folder(walk *w, int fd, int depth, err *e)
{
    item *items = NULL;
    size_t n = 0, base = w->path.len;
    int failed = 0, dir = dup(fd);
    bool ok = true;
    if (dir < 0 || !list_folder(fd, &items, &n, &failed)) {
        if (dir < 0) {
            failed = errno;
            close(fd);
        }
        if (base == w->root_len) {
            errno = failed;
            ok = err_errno(e, "cannot read the folder '%s'", w->path.s);
        } else {
            item it = {0};
            w->path.s[--w->path.len] = 0;
            ok = call_visit(w, &it, why_unreadable(failed), e);
            text_addn(&w->path, "/", 1);
        }
    }
    for (size_t i = 0; i < n && ok; i++) {
        const char *name = items[i].name;
        text_add(&w->path, name);
        if (name[strlen(name) - 1] == '/')
            ok = enter_folder(w, dir, &items[i], depth + 1, e);
        else
            ok = call_visit(w, &items[i], items[i].bad, e);
        w->path.len = base;
        w->path.s[base] = 0;
    }
    free_items(items, n);
    if (dir >= 0)
        close(dir);
    return ok;
}

bool fs_walk(const char *root, fs_visit *visit, void *ctx, err *e)
{
    struct stat st;
    walk w = {.visit = visit, .ctx = ctx};
    bool ok;
    if (stat(root, &st) != 0)
        return err_errno(e, "cannot read '%s'", root);
    text_init(&w.path);
    text_add(&w.path, root);
    if (!S_ISDIR(st.st_mode)) {
        item it = {0};
        fill_stat(&it, &st);
        w.root_len = (size_t)(fs_base(root) - root);
        const char *bad = NULL;
        if (!S_ISREG(st.st_mode))
            bad = "not a regular file";
        else if (faccessat(AT_FDCWD, root, R_OK, AT_EACCESS) != 0)
            bad = why_unreadable(errno);
        ok = call_visit(&w, &it, bad, e);
    } else {
        int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
            ok = err_errno(e, "cannot read the folder '%s'", root);
        } else {
            if (w.path.s[w.path.len - 1] != '/')
                text_addn(&w.path, "/", 1);
            w.root_len = w.path.len;
            first_visit(&w, st.st_dev, st.st_ino);
            ok = walk_folder(&w, fd, 0, e);
        }
    }
    mem_free(w.seen);
    text_release(&w.path);
    return ok;
}

/* ---- read and write -------------------------------------------------------------------------- */

bool fs_read(const char *path, size_t max, char **data, size_t *len, err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "cannot open '%s'", path);
    struct stat st;
    bool ok = true;
    size_t n = 0, cap = READ_CHUNK;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        if ((uint64_t)st.st_size > max)
            n = max + 1; /* too large: no need to read it */
        else
            cap = (size_t)st.st_size + 1;
    }
    char *buf = mem_alloc(cap + 1);
    while (n <= max) {
        if (n == cap) {
            size_t grown = cap > SIZE_MAX / 4 ? SIZE_MAX / 2 : 2 * cap;
            buf = mem_realloc(buf, n, grown + 1);
            cap = grown;
        }
        ssize_t k = read(fd, buf + n, cap - n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            ok = err_errno(e, "cannot read '%s'", path);
        if (k <= 0)
            break;
        n += (size_t)k;
    }
    if (ok && n > max)
        ok = err_set(e, ERR_RANGE, "'%s' is larger than the %zu bytes allowed", path, max);
    close(fd);
    if (!ok) {
        mem_free(buf);
        return false;
    }
    buf[n] = 0;
    *data = buf;
    *len = n;
    return true;
}

bool fs_commit(const char *tmp, const char *path, err *e)
{
    int fd = open(tmp, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(e, "cannot open '%s'", tmp);
    int failed = fsync(fd) != 0 ? errno : 0;
    close(fd);
    if (failed) {
        errno = failed;
        return err_errno(e, "cannot write '%s' to the disk", tmp);
    }
    if (rename(tmp, path) != 0)
        return err_errno(e, "cannot rename '%s' to '%s'", tmp, fs_base(path));
    /* the new name must survive a power cut too; some file systems refuse to sync a folder */
    char *folder = folder_of(path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = true;
    if (fd >= 0) {
        if (fsync(fd) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP)
            ok = err_errno(e, "cannot write the folder '%s' to the disk", folder);
        close(fd);
    }
    mem_free(folder);
    return ok;
}

int fs_create_partial(const char *path, mode_t mode, char **tmp, err *e)
{
    text t;
    text_init(&t);
    text_add(&t, path);
    text_add(&t, partial);
    *tmp = text_take(&t);
    /* what an interrupted run left behind; a link there is removed, not followed */
    int fd = -1;
    if (unlink(*tmp) == 0 || errno == ENOENT)
        fd = open(*tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) {
        err_errno(e, "cannot create '%s'", *tmp);
        mem_free(*tmp);
        *tmp = NULL;
    }
    return fd;
}

bool fs_write_all(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t k = write(fd, p, len);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return false;
        p += k;
        len -= (size_t)k;
    }
    return true;
}

/* Under the temporary name of `name`. */
static bool write_file(const char *path, const char *name, mode_t mode, const void *data,
                       size_t len, err *e)
{
    char *tmp;
    int fd = fs_create_partial(name, mode, &tmp, e);
    if (fd < 0)
        return false;
    bool ok = fs_write_all(fd, data, len);
    if (!ok)
        err_errno(e, "cannot write '%s'", tmp);
    if (close(fd) != 0 && ok)
        ok = err_errno(e, "cannot write '%s'", tmp);
    ok = ok && fs_commit(tmp, path, e);
    if (!ok)
        unlink(tmp);
    mem_free(tmp);
    return ok;
}

bool fs_write(const char *path, const void *data, size_t len, err *e)
{
    return write_file(path, path, 0666, data, len, e);
}

bool fs_write_private(const char *path, const void *data, size_t len, err *e)
{
    return write_file(path, path, 0600, data, len, e);
}

bool fs_write_among(const char *path, const void *data, size_t len, err *e)
{
    uint64_t own;
    text name;
    if (!fs_random(&own, sizeof own, e))
        return false;
    text_init(&name);
    text_addf(&name, "%s.%016llx", path, (unsigned long long)own);
    bool ok = write_file(path, name.s, 0600, data, len, e);
    text_release(&name);
    return ok;
}

/* ---- removal --------------------------------------------------------------------------------- */

/* Remove `name` of the folder dir and all below; false with errno. top: the uppermost folder of the
 * tree, to which folders that lie too deep for one descriptor per level are moved first. */
static bool remove_at(int dir, const char *name, int depth, int top)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR && errno != EPERM)
        return false;
    if (depth > DEPTH_MAX) {
        char up[32];
        for (int i = 0; i < 10000; i++) {
            snprintf(up, sizeof up, "deep-%d%s", i, partial);
            if (renameat(dir, name, top, up) == 0)
                return true;
            if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
                return false;
        }
        return false;
    }
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool ok = true;
    for (bool again = true; ok && again;) { /* names may be skipped while the folder changes */
        again = false;
        rewinddir(d);
        for (struct dirent *de; ok && (de = readdir(d));) {
            if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
                continue;
            ok = remove_at(fd, de->d_name, depth + 1, depth ? top : fd);
            again = true;
        }
    }
    int saved = errno;
    closedir(d);
    errno = saved;
    return ok && (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT);
}

bool fs_remove_tree(const char *path, err *e)
{
    const char *base = fs_base(path);
    if (!*base || *base == '/' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0 ||
        strcmp(base, "./") == 0 || strcmp(base, "../") == 0)
        return err_set(e, ERR_IO, "refusing to remove '%s'", path);
    if (!remove_at(AT_FDCWD, path, 0, -1))
        return err_errno(e, "cannot remove '%s'", path);
    return true;
}

/* ---- lock ------------------------------------------------------------------------------------ */

struct fs_lock {
    int fd;
    char *path;
};

static void lock_owner(int fd, char out[128])
{
    char raw[128];
    ssize_t n = pread(fd, raw, sizeof raw - 1, 0);
    if (n <= 0) {
        text_copy(out, 128, "another process");
        return;
    }
    raw[n] = 0;
    raw[strcspn(raw, "\n")] = 0;
    text_copy(out, 128, raw);
}

fs_lock *fs_lock_take(const char *dir, err *e)
{
    char *path = fs_join(dir, ".lock");
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (fd < 0) {
            err_errno(e, "cannot lock the folder '%s'", dir);
            break;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK) {
                char owner[128];
                lock_owner(fd, owner);
                err_set(e, ERR_IO, "the folder '%s' is in use by %s", dir, owner);
            } else {
                err_errno(e, "cannot lock the folder '%s'", dir);
            }
            close(fd);
            break;
        }
        /* the owner before us may have removed the file between our open and our lock */
        struct stat held, named;
        if (fstat(fd, &held) != 0 || stat(path, &named) != 0 || held.st_ino != named.st_ino ||
            held.st_dev != named.st_dev) {
            close(fd);
            continue;
        }
        char host[64], line[128];
        if (gethostname(host, sizeof host) != 0)
            memcpy(host, "unknown", 8);
        host[sizeof host - 1] = 0;
        int n = snprintf(line, sizeof line, "process %ld on %s\n", (long)getpid(), host);
        if (ftruncate(fd, 0) != 0 || n < 0 || pwrite(fd, line, (size_t)n, 0) != n) {
            err_errno(e, "cannot lock the folder '%s'", dir);
            close(fd);
            break;
        }
        fs_lock *l = MEM_NEW(fs_lock);
        l->fd = fd;
        l->path = path;
        return l;
    }
    mem_free(path);
    return NULL;
}

void fs_lock_release(fs_lock *l)
{
    if (!l)
        return;
    unlink(l->path);
    flock(l->fd, LOCK_UN); /* at once, even if a child still holds the descriptor */
    close(l->fd);
    mem_free(l->path);
    mem_free(l);
}

/* ---- hashes ---------------------------------------------------------------------------------- */

struct fs_sha256 {
    EVP_MD_CTX *md;
};

fs_sha256 *fs_sha256_new(void)
{
    fs_sha256 *h = MEM_NEW(fs_sha256);
    h->md = EVP_MD_CTX_new();
    if (!h->md || EVP_DigestInit_ex(h->md, EVP_sha256(), NULL) != 1)
        BUG("OpenSSL offers no SHA-256");
    return h;
}

void fs_sha256_add(fs_sha256 *h, const void *data, size_t len)
{
    if (EVP_DigestUpdate(h->md, data, len) != 1)
        BUG("SHA-256 failed");
}

void fs_sha256_end(fs_sha256 *h, char out[65])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_DigestFinal_ex(h->md, digest, &n) != 1 || n != 32)
        BUG("SHA-256 failed");
    text_hex(digest, 32, out);
    EVP_MD_CTX_free(h->md);
    mem_free(h);
}

void fs_sha256_of(const void *data, size_t len, char out[65])
{
    fs_sha256 *h = fs_sha256_new();
    fs_sha256_add(h, data, len);
    fs_sha256_end(h, out);
}

bool fs_sha256_file(const char *path, char out[65], err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "cannot open '%s'", path);
    fs_sha256 *h = fs_sha256_new();
    char *buf = mem_alloc(HASH_CHUNK);
    ssize_t k;
    while ((k = read(fd, buf, HASH_CHUNK)) != 0) {
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            break;
        fs_sha256_add(h, buf, (size_t)k);
    }
    bool ok = k == 0 || err_errno(e, "cannot read '%s'", path);
    char hex[65];
    fs_sha256_end(h, hex);
    if (ok)
        memcpy(out, hex, sizeof hex);
    mem_free(buf);
    close(fd);
    return ok;
}

/* The key is prepared once: looking up the algorithm and hashing the key cost more than a name. */
struct fs_hmac {
    EVP_MAC_CTX *mac;
};

fs_hmac *fs_hmac_new(const void *key, size_t key_len)
{
    static const char digest[] = "SHA256";
    fs_hmac *h = MEM_NEW(fs_hmac);
    OSSL_PARAM p[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)digest, 0),
        OSSL_PARAM_construct_end()};
    EVP_MAC *m = EVP_MAC_fetch(NULL, "HMAC", NULL);
    h->mac = m ? EVP_MAC_CTX_new(m) : NULL;
    EVP_MAC_free(m);
    if (!h->mac || EVP_MAC_init(h->mac, key_len ? key : "", key_len, p) != 1)
        BUG("OpenSSL offers no HMAC-SHA-256");
    return h;
}

void fs_hmac_of(fs_hmac *h, const void *data, size_t len, uint8_t out[32])
{
    size_t n = 0;
    if (EVP_MAC_init(h->mac, NULL, 0, NULL) != 1 || EVP_MAC_update(h->mac, data, len) != 1 ||
        EVP_MAC_final(h->mac, out, &n, 32) != 1 || n != 32)
        BUG("HMAC-SHA-256 failed");
}

void fs_hmac_free(fs_hmac *h)
{
    if (h)
        EVP_MAC_CTX_free(h->mac);
    mem_free(h);
}

void fs_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[32])
{
    fs_hmac *h = fs_hmac_new(key, key_len);
    fs_hmac_of(h, data, len, out);
    fs_hmac_free(h);
}

static void xxh128_hex(XXH128_hash_t hash, char out[33])
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, hash);
    text_hex(c.digest, sizeof c.digest, out);
}

void fs_xxh128_of(const void *data, size_t len, char out[33])
{
    xxh128_hex(XXH3_128bits(data, len), out);
}

struct fs_xxh128 {
    XXH3_state_t *state;
};

fs_xxh128 *fs_xxh128_new(void)
{
    fs_xxh128 *h = MEM_NEW(fs_xxh128);
    h->state = XXH3_createState();
    if (!h->state || XXH3_128bits_reset(h->state) != XXH_OK)
        BUG("xxHash cannot start");
    return h;
}

void fs_xxh128_add(fs_xxh128 *h, const void *data, size_t len)
{
    if (XXH3_128bits_update(h->state, data, len) != XXH_OK)
        BUG("xxHash failed");
}

void fs_xxh128_end(fs_xxh128 *h, char out[33])
{
    xxh128_hex(XXH3_128bits_digest(h->state), out);
    XXH3_freeState(h->state);
    mem_free(h);
}

bool fs_random(void *out, size_t len, err *e)
{
    char *p = out;
    while (len > 0) {
        ssize_t k = getrandom(p, len, 0);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return err_errno(e, "the system gave no random bytes");
        p += k;
        len -= (size_t)k;
    }
    return true;
}

void fs_xxh128_raw(const void *data, size_t len, uint64_t out[2])
{
    XXH128_hash_t h = XXH3_128bits(data, len);
    out[0] = h.low64;
    out[1] = h.high64;
}
