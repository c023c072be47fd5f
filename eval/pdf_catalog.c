/* Incremental update of a PDF's catalogue: the object again with more entries, a cross-reference
 * section of that one object, and a trailer that names the one before. */
#include "eval/pdf_catalog.h"
#include "core/mem.h"

/* Offset of the last `what` in the file, -1 when there is none. */
static int64_t last(const text *pdf, const char *what)
{
    size_t n = strlen(what);
    for (int64_t i = (int64_t)pdf->len - (int64_t)n; i >= 0; i--)
        if (!memcmp(pdf->s + i, what, n))
            return i;
    return -1;
}

/* The number behind `key` in s; -1 when there is none. */
static int64_t number_after(const char *s, const char *key)
{
    const char *p = strstr(s, key);
    int64_t v = 0;
    if (!p)
        return -1;
    p += strlen(key);
    p += strspn(p, " \r\n");
    if (*p < '0' || *p > '9')
        return -1;
    for (; *p >= '0' && *p <= '9' && v < 100000000; p++)
        v = 10 * v + (*p - '0');
    return v;
}

/* Where object `id` begins, by the only section of the table at `xref`; -1 when it is not there. */
static int64_t offset_of(const text *pdf, int64_t xref, int64_t id)
{
    enum { ROW = 20 }; /* bytes of an entry */
    const char *p = pdf->s + xref;
    char head[40];
    int64_t count = number_after(p, "xref\n0 ");
    size_t skip = strlen("xref\n");
    if (strncmp(p, "xref\n0 ", 7) || id <= 0 || id >= count)
        return -1;
    skip += strcspn(p + skip, "\n") + 1;
    if (xref + (int64_t)skip + count * ROW > (int64_t)pdf->len)
        return -1;
    int64_t at = number_after(p + skip + id * ROW, "");
    snprintf(head, sizeof head, "%lld 0 obj", (long long)id);
    return at >= 0 && at < xref && !strncmp(pdf->s + at, head, strlen(head)) ? at : -1;
}

bool pdf_catalog_add(text *pdf, const char *entries, err *e)
{
    int64_t mark = last(pdf, "startxref"), tail = last(pdf, "trailer"), at = -1;
    int64_t xref = mark < 0 ? -1 : number_after(pdf->s + mark, "startxref");
    int64_t root = tail < 0 ? -1 : number_after(pdf->s + tail, "/Root"),
            size = tail < 0 ? -1 : number_after(pdf->s + tail, "/Size"),
            info = tail < 0 ? -1 : number_after(pdf->s + tail, "/Info");
    if (xref > 0 && xref < (int64_t)pdf->len && root > 0 && size > 0 && info > 0)
        at = offset_of(pdf, xref, root);
    const char *open = at < 0 ? NULL : strstr(pdf->s + at, "<<"),
               *end = at < 0 ? NULL : strstr(pdf->s + at, "endobj");
    if (!open || !end || end < open)
        return err_set(e, ERR_IO, "report.pdf: its catalogue is not where it should be");
    text add;
    text_init(&add);
    text_addf(&add, "%lld 0 obj\n<< %s\n", (long long)root, entries);
    text_addn(&add, open + 2, (size_t)(end - open - 2));
    text_add(&add, "endobj\n");
    size_t table = pdf->len + add.len;
    text_addf(&add, "xref\n%lld 1\n%010zu 00000 n \n", (long long)root, pdf->len);
    text_addf(&add,
              "trailer\n<< /Size %lld /Root %lld 0 R /Info %lld 0 R /Prev %lld >>\n"
              "startxref\n%zu\n%%%%EOF\n",
              (long long)size, (long long)root, (long long)info, (long long)xref, table);
    text_addn(pdf, add.s, add.len);
    text_release(&add);
    return true;
}
