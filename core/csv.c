/* Streaming CSV after RFC 4180, as spreadsheets write it: BOM, three separators, quoted newlines.
 * The reader keeps one row; a file that breaks a rule ends with one error that names file and line.
 * Field contents never appear in messages: they may identify a person. */
#include "core/csv.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define BUFFER      ((size_t)1 << 18) /* read at once; the header line is sniffed in the first */
#define FIELD_MAX   ((size_t)1 << 20)
#define ROW_MAX     ((size_t)1 << 26)
#define COLUMNS_MAX 16384
#define FLUSH_AT    ((size_t)1 << 16)
#define END         (-1)

struct csv_reader {
    char *name; /* owned, base name for messages */
    int fd;     /* -1: data is borrowed text */
    char *buf;  /* owned when fd >= 0 */
    size_t pos, len;
    bool eof;
    char sep;
    int line; /* of the next byte */
    int row_line;
    bool after_cr;
    bool failed;
    err error;

    text row; /* the fields one after the other, each with its NUL */
    size_t *start;
    int n_fields, cap_fields;
    char **names; /* owned */
    int n_columns;
};

static bool fail(csv_reader *r, int line, const char *what)
{
    if (!r->failed)
        err_set(&r->error, ERR_INPUT, "%s: line %d: %s", r->name, line, what);
    r->failed = true;
    return false;
}

/* Next bytes into the buffer; false at the end of the file or on an error. */
static bool fill(csv_reader *r)
{
    if (r->eof || r->failed)
        return false;
    if (r->fd < 0) {
        r->eof = true;
        return false;
    }
    r->pos = 0;
    r->len = 0;
    while (r->len < BUFFER) { /* a pipe gives less than asked: the header must be whole for sniff */
        ssize_t k = read(r->fd, r->buf + r->len, BUFFER - r->len);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0) {
            err_errno(&r->error, "%s: cannot read", r->name);
            r->failed = true;
            return false;
        }
        r->len += (size_t)k;
        r->eof = k == 0;
        if (r->eof)
            break;
    }
    return r->len > 0;
}

static int peek(csv_reader *r)
{
    if (r->pos >= r->len && !fill(r))
        return END;
    return (unsigned char)r->buf[r->pos];
}

/* Take the byte that peek showed, counting lines: LF, CR LF and CR each end one. */
static void take(csv_reader *r)
{
    char c = r->buf[r->pos++];
    if (c == '\r' || (c == '\n' && !r->after_cr))
        r->line++;
    r->after_cr = c == '\r';
}

static bool blank(const csv_reader *r, int c)
{
    return c == ' ' || (c == '\t' && r->sep != '\t');
}

static bool row_end(int c)
{
    return c == END || c == '\n' || c == '\r';
}

/* Append to the field that began at `from`. */
static bool keep(csv_reader *r, size_t from, int c)
{
    if (c == 0)
        return fail(r, r->line, "a NUL byte (is the file UTF-16? save it as UTF-8)");
    if (r->row.len - from >= FIELD_MAX)
        return fail(r, r->row_line, "a field is longer than 1 MiB (is a quote left open?)");
    if (r->row.len >= ROW_MAX)
        return fail(r, r->row_line, "the row is longer than 64 MiB");
    char ch = (char)c;
    text_addn(&r->row, &ch, 1);
    return true;
}

/* The rest of a quoted field; the opening quote is taken. */
static bool quoted(csv_reader *r, size_t from)
{
    int began = r->line;
    for (;;) {
        int c = peek(r);
        if (c == END)
            return fail(r, began, "a quoted field is not closed");
        take(r);
        if (c == '"') {
            if (peek(r) != '"')
                break;
            take(r);
        }
        if (!keep(r, from, c))
            return false;
    }
    while (blank(r, peek(r)))
        take(r);
    int c = peek(r);
    if (!row_end(c) && c != r->sep)
        return fail(r, r->line, "text behind a closing quote");
    return !r->failed;
}

/* One field into the row; *was_quoted tells "" from nothing. */
static bool field(csv_reader *r, bool *was_quoted)
{
    size_t from = r->row.len;
    if (r->n_fields == r->cap_fields) {
        int cap = r->cap_fields ? 2 * r->cap_fields : 64;
        r->start = mem_realloc(r->start, (size_t)r->n_fields * sizeof *r->start,
                               (size_t)cap * sizeof *r->start);
        r->cap_fields = cap;
    }
    r->start[r->n_fields++] = from;
    while (blank(r, peek(r)))
        take(r);
    *was_quoted = peek(r) == '"';
    if (*was_quoted) {
        take(r);
        if (!quoted(r, from))
            return false;
    } else {
        for (int c = peek(r); !row_end(c) && c != r->sep; c = peek(r)) {
            if (!keep(r, from, c))
                return false;
            take(r);
        }
        while (r->row.len > from && blank(r, r->row.s[r->row.len - 1]))
            r->row.len--;
    }
    if (r->failed)
        return false;
    size_t n = r->row.len - from;
    if (n && text_utf8(r->row.s + from, n) < n)
        return fail(r, r->row_line, "bytes that are not UTF-8 (save the file as UTF-8)");
    text_addn(&r->row, "", 1);
    return true;
}

/* One row, whatever its number of fields up to `most`: 1, 0 at the end, -1. Blank lines are
 * skipped. */
static int read_row(csv_reader *r, int most)
{
    for (;;) {
        if (peek(r) == END)
            return r->failed ? -1 : 0;
        text_clear(&r->row);
        r->n_fields = 0;
        r->row_line = r->line;
        bool was_quoted = false;
        for (;;) {
            if (!field(r, &was_quoted))
                return -1;
            int c = peek(r);
            if (r->failed)
                return -1;
            if (c != r->sep)
                break;
            take(r);
            if (r->n_fields >= most) {
                char what[96];
                snprintf(what, sizeof what, "more than %d fields", most);
                fail(r, r->row_line, what);
                return -1;
            }
        }
        if (peek(r) == '\r')
            take(r);
        if (peek(r) == '\n')
            take(r);
        if (r->n_fields > 1 || was_quoted || r->row.len > 1)
            return 1;
    }
}

/* The separator that the header line holds most often outside quotes; comma if there is none. */
static char sniff(csv_reader *r)
{
    static const char seps[] = {',', ';', '\t'};
    size_t count[COUNT_OF(seps)] = {0};
    bool quote = false;
    (void)peek(r);
    size_t i = r->pos;
    while (i < r->len && (r->buf[i] == '\n' || r->buf[i] == '\r' || r->buf[i] == ' '))
        i++; /* blank lines in front are skipped as everywhere */
    for (; i < r->len; i++) {
        char c = r->buf[i];
        if (c == '"')
            quote = !quote;
        if (!quote && (c == '\n' || c == '\r'))
            break;
        for (size_t k = 0; k < COUNT_OF(seps); k++)
            count[k] += !quote && c == seps[k];
    }
    size_t best = 0;
    for (size_t k = 1; k < COUNT_OF(seps); k++)
        if (count[k] > count[best])
            best = k;
    return seps[best];
}

static bool read_header(csv_reader *r)
{
    (void)peek(r);
    const unsigned char *b = (const unsigned char *)r->buf + r->pos;
    size_t n = r->len - r->pos;
    if (n >= 2 && ((b[0] == 0xFF && b[1] == 0xFE) || (b[0] == 0xFE && b[1] == 0xFF)))
        return fail(r, 1, "the file is UTF-16; save it as UTF-8");
    if (n >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF)
        r->pos += 3;
    r->sep = sniff(r);
    int got = read_row(r, COLUMNS_MAX);
    if (got < 0)
        return false;
    if (got == 0) {
        err_set(&r->error, ERR_INPUT, "%s: the file is empty; a header line is wanted", r->name);
        r->failed = true;
        return false;
    }
    r->n_columns = r->n_fields;
    r->names = MEM_ARRAY(char *, r->n_columns);
    for (int i = 0; i < r->n_columns; i++) {
        r->names[i] = mem_strdup(r->row.s + r->start[i]);
        for (int k = 0; k < i; k++) {
            if (*r->names[i] && strcmp(r->names[i], r->names[k]) == 0) {
                char what[96];
                snprintf(what, sizeof what, "columns %d and %d have the same name", k + 1, i + 1);
                return fail(r, r->row_line, what);
            }
        }
    }
    text_clear(&r->row);
    r->n_fields = 0;
    return true;
}

static csv_reader *start(csv_reader *r, err *e)
{
    r->line = 1;
    text_init(&r->row);
    if (read_header(r))
        return r;
    if (e)
        *e = r->error;
    csv_close(r);
    return NULL;
}

csv_reader *csv_open(const char *path, err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_errno(e, "%s: cannot open", fs_base(path));
        return NULL;
    }
    csv_reader *r = MEM_NEW(csv_reader);
    r->name = mem_strdup(fs_base(path));
    r->fd = fd;
    r->buf = mem_alloc(BUFFER);
    return start(r, e);
}

csv_reader *csv_open_text(const char *data, size_t len, const char *name, err *e)
{
    csv_reader *r = MEM_NEW(csv_reader);
    r->name = mem_strdup(fs_base(name));
    r->fd = -1;
    r->buf = (char *)(uintptr_t)data; /* read only: fill never writes without a descriptor */
    r->len = len;
    return start(r, e);
}

void csv_close(csv_reader *r)
{
    if (!r)
        return;
    for (int i = 0; r->names && i < r->n_columns; i++)
        mem_free(r->names[i]);
    mem_free(r->names);
    mem_free(r->start);
    text_release(&r->row);
    if (r->fd >= 0) {
        close(r->fd);
        mem_free(r->buf);
    }
    mem_free(r->name);
    mem_free(r);
}

int csv_columns(const csv_reader *r)
{
    return r->n_columns;
}

const char *csv_column_name(const csv_reader *r, int col)
{
    if (col < 0 || col >= r->n_columns)
        BUG("column %d of %d", col, r->n_columns);
    return r->names[col];
}

int csv_find(const csv_reader *r, const char *name)
{
    for (int i = 0; i < r->n_columns; i++)
        if (strcmp(r->names[i], name) == 0)
            return i;
    for (int i = 0; i < r->n_columns; i++)
        if (text_ieq(r->names[i], name))
            return i;
    return -1;
}

/* In a file without a header the first row holds data, so names are not shown: only one that is
 * nearly the wanted name. */
static const char *similar(const csv_reader *r, const char *name)
{
    for (int i = 0; i < r->n_columns; i++)
        if (text_distance(r->names[i], name) <= 2 && strlen(name) > 3)
            return r->names[i];
    return NULL;
}

bool csv_require(const csv_reader *r, const char *name, int *col, err *e)
{
    int found = csv_find(r, name);
    if (found < 0) {
        const char *near = similar(r, name);
        return err_set(e, ERR_INPUT,
                       "%s: column '%s' is missing; the first line names %d columns%s%s%s", r->name,
                       name, r->n_columns, near ? ", one of them '" : "", near ? near : "",
                       near ? "'" : "");
    }
    if (strcmp(r->names[found], name) != 0)
        for (int i = found + 1; i < r->n_columns; i++)
            if (text_ieq(r->names[i], name))
                return err_set(e, ERR_INPUT, "%s: column '%s' is ambiguous: '%s' and '%s'", r->name,
                               name, r->names[found], r->names[i]);
    *col = found;
    return true;
}

int csv_next(csv_reader *r, err *e)
{
    int got = r->failed ? -1 : read_row(r, r->n_columns);
    if (got == 1 && r->n_fields != r->n_columns) {
        char what[96];
        snprintf(what, sizeof what, "%d field%s, the header has %d", r->n_fields,
                 r->n_fields == 1 ? "" : "s", r->n_columns);
        fail(r, r->row_line, what);
        got = -1;
    }
    if (got != 1)
        r->n_fields = 0;
    if (got < 0 && e)
        *e = r->error;
    return got;
}

const char *csv_field(const csv_reader *r, int col)
{
    if (col < 0 || col >= r->n_fields)
        BUG("field %d of %d", col, r->n_fields);
    return r->row.s + r->start[col];
}

bool csv_missing(const csv_reader *r, int col)
{
    static const char *const none[] = {"", "NA", "N/A", "NaN", "NULL", "None"};
    const char *f = csv_field(r, col);
    for (size_t i = 0; i < COUNT_OF(none); i++)
        if (text_ieq(f, none[i]))
            return true;
    return false;
}

int csv_line(const csv_reader *r)
{
    return r->row_line;
}

/* ---- writing --------------------------------------------------------------------------------- */

struct csv_writer {
    char *path, *tmp; /* owned; NULL when in memory */
    int fd;
    int in_row; /* fields of the row so far */
    bool first_empty;
    text out;
    int failed; /* errno of the first write that failed */
};

static csv_writer *create(const char *path, mode_t mode, err *e)
{
    char *tmp;
    int fd = fs_create_partial(path, mode, &tmp, e);
    if (fd < 0)
        return NULL;
    csv_writer *w = csv_create_memory();
    w->fd = fd;
    w->path = mem_strdup(path);
    w->tmp = tmp;
    return w;
}

csv_writer *csv_create(const char *path, err *e)
{
    return create(path, 0666, e);
}

csv_writer *csv_create_private(const char *path, err *e)
{
    return create(path, 0600, e);
}

csv_writer *csv_create_memory(void)
{
    csv_writer *w = MEM_NEW(csv_writer);
    w->fd = -1;
    text_init(&w->out);
    return w;
}

static void flush(csv_writer *w)
{
    if (w->fd < 0)
        return;
    if (!w->failed && !fs_write_all(w->fd, w->out.s, w->out.len))
        w->failed = errno ? errno : EIO;
    text_clear(&w->out);
}

/* Separators of other dialects are quoted too, so that any reader finds the comma. */
static bool needs_quotes(const char *s)
{
    size_t n = strlen(s);
    return s[strcspn(s, ",;\t\"\r\n")] || (n && (s[0] == ' ' || s[n - 1] == ' ')) ||
           (unsigned char)s[0] == 0xEF;
}

void csv_put(csv_writer *w, const char *field)
{
    if (w->in_row++)
        text_addn(&w->out, ",", 1);
    else
        w->first_empty = !*field;
    if (!needs_quotes(field)) {
        text_add(&w->out, field);
        return;
    }
    text_addn(&w->out, "\"", 1);
    for (const char *s = field; *s;) {
        size_t n = strcspn(s, "\"");
        text_addn(&w->out, s, n);
        s += n;
        if (*s) {
            text_addn(&w->out, "\"\"", 2);
            s++;
        }
    }
    text_addn(&w->out, "\"", 1);
}

void csv_put_i64(csv_writer *w, int64_t v)
{
    char s[32];
    snprintf(s, sizeof s, "%lld", (long long)v);
    csv_put(w, s);
}

void csv_put_f64(csv_writer *w, double v)
{
    char s[32];
    text_shortest(v, s);
    csv_put(w, s);
}

void csv_end_row(csv_writer *w)
{
    if (w->in_row == 1 && w->first_empty)
        text_add(&w->out, "\"\""); /* a blank line would be skipped when read */
    text_addn(&w->out, "\n", 1);
    w->in_row = 0;
    if (w->out.len >= FLUSH_AT)
        flush(w);
}

bool csv_commit(csv_writer *w, err *e)
{
    if (w->in_row)
        BUG("csv: the last row was not ended");
    bool ok = true;
    if (w->fd >= 0) {
        flush(w);
        if (close(w->fd) != 0 && !w->failed)
            w->failed = errno;
        w->fd = -1;
        if (w->failed) {
            errno = w->failed;
            ok = err_errno(e, "%s: cannot write", fs_base(w->path));
        } else {
            ok = fs_commit(w->tmp, w->path, e);
        }
        if (ok) {
            mem_free(w->tmp);
            w->tmp = NULL;
        }
    }
    csv_discard(w);
    return ok;
}

const char *csv_memory(const csv_writer *w, size_t *len)
{
    if (len)
        *len = w->out.len;
    return w->out.s;
}

void csv_discard(csv_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    if (w->tmp)
        unlink(w->tmp);
    mem_free(w->tmp);
    mem_free(w->path);
    text_release(&w->out);
    mem_free(w);
}
