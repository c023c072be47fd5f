/* A small synthetic mammogram as a DICOM file: a half ellipse at the left or right border. */
#ifndef TESTS_UNIT_SMALL_MAMMOGRAM_H
#define TESTS_UNIT_SMALL_MAMMOGRAM_H

#include "tests/unit/dicom_bytes.h"

enum { SMALL_R = 320, SMALL_C = 240 };

typedef struct small { /* NULL and 0: an ordinary left CC view */
    int number;        /* of instance and exam */
    const char *side, *view, *implant, *burned, *photometric;
    const char *slope, *intercept;
} small;

static inline unsigned small_sample(int x, int y)
{
    double e = (double)x * x / (150.0 * 150) + (double)(y - 160) * (y - 160) / (120.0 * 120);
    return e < 1 ? (unsigned)(700 + 2000 * (1 - e)) + (unsigned)(x * 7 + y * 13) % 40
                 : 30 + (unsigned)(x * 5 + y * 3) % 20;
}

static inline bytes small_file(const small *m)
{
    bytes b = {0};
    char uid[32], exam[32];
    int right = m->side && m->side[0] == 'R', mono1 = m->photometric != NULL;
    snprintf(uid, sizeof uid, "1.2.3.4.%d", m->number);
    snprintf(exam, sizeof exam, "1.2.9.%d", m->number);
    preamble(&b, TS_EXPLICIT);
    str(&b, 8, 8, "CS", "ORIGINAL\\PRIMARY");
    str(&b, 8, 0x16, "UI", UID_MG);
    str(&b, 8, 0x18, "UI", uid);
    str(&b, 8, 0x22, "DA", "20190615");
    str(&b, 8, 0x60, "CS", "MG");
    str(&b, 8, 0x68, "CS", "FOR PRESENTATION");
    str(&b, 8, 0x70, "LO", "HOLOGIC, Inc.");
    str(&b, 0x10, 0x20, "LO", "IDENTIFIER-77");
    str(&b, 0x18, 0x1164, "DS", "0.7\\0.7");
    str(&b, 0x18, 0x5101, "CS", m->view ? m->view : "CC");
    str(&b, 0x20, 0xd, "UI", exam);
    str(&b, 0x20, 0xe, "UI", "1.2.3.6");
    str(&b, 0x20, 0x62, "CS", m->side ? m->side : "L");
    image_module(&b, IMAGE(.rows = SMALL_R, .cols = SMALL_C,
                           .photometric = m->photometric ? m->photometric : "MONOCHROME2"));
    str(&b, 0x28, 0x301, "CS", m->burned ? m->burned : "NO");
    if (m->slope) {
        str(&b, 0x28, 0x1052, "DS", m->intercept);
        str(&b, 0x28, 0x1053, "DS", m->slope);
    }
    if (m->implant)
        str(&b, 0x28, 0x1300, "CS", m->implant);
    head(&b, 0x7FE0, 0x10, "OW", SMALL_R * SMALL_C * 2);
    for (int y = 0; y < SMALL_R; y++)
        for (int x = 0; x < SMALL_C; x++) {
            unsigned v = small_sample(right ? SMALL_C - 1 - x : x, y);
            put16(&b, mono1 ? 4095 - v : v);
        }
    return b;
}
#endif
