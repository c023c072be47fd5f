/* Inflates the data set of a deflated file with zlib, bounded in size. */
#include "dicom/deflated.h"

#include "core/mem.h"

#include <string.h>
#include <zlib.h>

#define DEFLATED_MAX ((size_t)1 << 30) /* bytes of an inflated data set */
#define SYNTAX       "1.2.840.10008.1.2.1.99"

/* Inflate into a buffer that grows; *size ends as what was written. */
static int inflate_all(z_stream *z, uint8_t **to, size_t at, size_t *size)
{
    size_t cap = *size;
    int rc = Z_OK;
    while (rc == Z_OK) {
        if (at == cap) {
            if (cap >= DEFLATED_MAX)
                return Z_MEM_ERROR;
            *to = mem_realloc(*to, at, 2 * cap);
            cap *= 2;
        }
        size_t room = cap - at < (size_t)1 << 30 ? cap - at : (size_t)1 << 30;
        z->next_out = *to + at;
        z->avail_out = (uInt)room;
        rc = inflate(z, Z_NO_FLUSH);
        at += room - z->avail_out;
        if (rc == Z_BUF_ERROR && z->avail_out == 0)
            rc = Z_OK; /* only the room was lacking */
    }
    *size = at;
    return rc;
}

reason deflated_expand(const void *data, size_t len, const walk *w, void **out, size_t *out_len)
{
    size_t head = w->dataset_at, left = len - head;
    z_stream z = {.next_in = (Bytef *)(uintptr_t)((const uint8_t *)data + head)};
    *out = NULL;
    if (left > UINT32_MAX || inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return REASON_IO_UNREADABLE;
    z.avail_in = (uInt)left;
    size_t size = head + 4 * left + 4096;
    if (size > DEFLATED_MAX)
        size = DEFLATED_MAX;
    if (size < head + 4096) {
        inflateEnd(&z);
        return REASON_IO_UNREADABLE;
    }
    uint8_t *p = mem_alloc(size);
    memcpy(p, data, head);
    int rc = inflate_all(&z, &p, head, &size);
    inflateEnd(&z);
    if (rc != Z_STREAM_END) {
        mem_free(p);
        return rc == Z_BUF_ERROR ? REASON_IO_TRUNCATED : REASON_IO_UNREADABLE;
    }
    /* 22 characters become 19 and three zeros of padding; every length stays */
    uint8_t *uid = memmem(p, head, SYNTAX, sizeof SYNTAX - 1);
    if (!uid) {
        mem_free(p);
        return REASON_IO_UNREADABLE;
    }
    memset(uid + 19, 0, 3);
    *out = p;
    *out_len = size;
    return REASON_NONE;
}
