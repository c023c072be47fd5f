/* One exposure of the demo archive: who, when, which vendor's habits, the header and the stored
 * values; and the table of kinds, each of which changes one thing about it. */
#ifndef DICOM_SYNTH_SHOT_H
#define DICOM_SYNTH_SHOT_H

#include "dicom/synth_file.h"
#include "dicom/synth_phantom.h"

#define SYNTH_NEVER INT32_MAX

/* An exam and the woman it belongs to; made before any file is written. */
typedef struct synth_exam {
    uint64_t seed;
    int woman, number; /* 0-based; number of the exam within the woman */
    char patient_id[16];
    int32_t birth, day;     /* days since 1970-01-01 */
    int32_t days_to_cancer; /* negative: after it; SYNTH_NEVER: none known */
    int vendor;             /* index of the table in synth_shot.c */
    int kind;               /* synth_kinds index; -1 = four ordinary views */
    const char *name;       /* kind of its ordinary files */
} synth_exam;

typedef struct synth_shot {
    const synth_exam *exam;
    arena *a;
    int number; /* within the exam */
    char side;  /* 'R', 'L' */
    bool oblique;
    synth_scene scene;
    synth_set *set;
    const char *ts_said, *ts_real; /* transfer syntax: as declared, as written */
    uint16_t *px;                  /* [rows, cols] stored values */
    int rows, cols, bits;
    synth_pixels body; /* filled by synth_shot_encode unless a kind has set bytes */
    text stream;       /* the encoded pixels; arena-free, released by synth_shot_release */
} synth_shot;

int synth_vendors(void);
/* Scene and identity; then the kind may change the scene; then synth_shot_draw makes px and set. */
void synth_shot_init(synth_shot *s, const synth_exam *x, int number, char side, bool oblique,
                     arena *a);
void synth_shot_draw(synth_shot *s);
/* A new SOP instance of the same exposure. */
void synth_shot_renumber(synth_shot *s, int number);
/* Encode px into stream and body as ts_real wants it. */
void synth_shot_pixels(synth_shot *s);
void synth_shot_encode(synth_shot *s, text *file);
void synth_shot_release(synth_shot *s);
/* "2.25.<number>" of a purpose and up to three indices. */
void synth_uid(uint64_t seed, const char *what, int a, int b, int c, char out[65]);

typedef enum synth_role {
    SYNTH_REPLACES, /* the exam is one ordinary right view and the odd left one */
    SYNTH_ADDS,     /* ordinary views of both sides, then the odd file */
    SYNTH_EXAM,     /* the whole exam is odd: clinical facts */
    SYNTH_TWINS     /* the odd file twice, the second one after the twin hook */
} synth_role;

typedef struct synth_kind {
    const char *name;
    synth_role role;
    /* one element: put (value), dropped (value NULL) */
    uint32_t tag;
    const char *vr, *value;
    void (*scene)(synth_shot *s);           /* before drawing; NULL = nothing */
    void (*header)(synth_shot *s);          /* after drawing */
    void (*file)(synth_shot *s, text *out); /* after encoding, on the finished bytes */
    void (*twin)(synth_shot *s);            /* between the two files of SYNTH_TWINS */
    int32_t days_to_cancer;                 /* SYNTH_EXAM: 0 = as drawn */
    int32_t followup;                       /* days after the exam; 0 = as drawn */
    int32_t prior;                          /* prior cancer, days before the exam; 0 = none */
    int rows_in_csv;                        /* clinical rows - 1: -1 none, 0 one, 1 two equal,
                                               2 two that differ */
} synth_kind;
extern const synth_kind synth_kinds[];
extern const int synth_kinds_n;
#endif
