/* Decode the stored pixels of a DICOM file and the tables that turn them into display values
 * (dicom.md 2 and 3). Runs in an isolated worker. */
#ifndef DICOM_PIXELS_H
#define DICOM_PIXELS_H

#include "core/mem.h"
#include "dicom/record.h"

#include <stdbool.h>

#define PIXELS_VOI_LUTS 8

typedef struct pixels_lut { /* a LUT sequence item; n == 0: none, or its parts do not fit together
                             */
    int n, first, bits;     /* entries, first mapped value, output bits that the entries fill */
    uint16_t *data;         /* arena */
    char name[17];          /* LUTExplanation (0028,3003), upper case, cut */
    bool odd;               /* the descriptor does not fit the data and was corrected */
} pixels_lut;

typedef struct pixels {
    int rows, cols;
    /* [rows, cols] frame 0, unmasked 16-bit words as decoded (8-bit widened); arena, or borrowed
     * from the file's bytes where these can be read as they are */
    const uint16_t *stored;
    int words;                            /* the stored words are below this; 0: not known */
    int bits_stored, high_bit, is_signed; /* after the codestream's own precision was believed */
    pixels_lut modality;
    pixels_lut voi[PIXELS_VOI_LUTS]; /* in the order of the header */
    int n_voi;
    bool odd_function; /* VOILUTFunction (0028,1056) holds a word that the standard does not know */
    char hash[33];     /* XXH3-128 of the stored samples, little-endian, C order */
    char sha256[65];   /* the same bytes; only if asked for */
    reason_set notes;  /* TS_LIES, BITS_LIE, LOSSY... */
} pixels;

/* REASON_NONE on success, else why it failed (TS_UNSUPPORTED, DEC_FAILED, DEC_WARNED,
 * PIX_GEOMETRY, IO_TRUNCATED). Memory from the arena. All frames are hashed when want_sha256 is set
 * (conformance tests), but only frame 0 is returned. */
reason pixels_decode(const void *data, size_t len, const record *r, bool want_sha256, arena *a,
                     pixels *out);

/* Once per process before reading or decoding: load the dictionary, silence DCMTK. */
void pixels_init(void);
/* Call in the parent before work starts: fails ERR_IO when DCMTK's dictionary is not installed. */
MUST_CHECK bool pixels_ready(err *e);
const char *pixels_libraries(void); /* names and versions of the decoders */
#endif
