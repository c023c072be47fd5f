/* Side, view and special exposure of a mammogram from DICOM codes and from words people type.
 * Codes: CID 4014 and 4015 (SCT, with the older SRT and SNM3 values). dicom.md 1. */
#ifndef DICOM_VIEWS_H
#define DICOM_VIEWS_H

#include "dicom/record.h"

/* The code first, then its meaning in words; VIEW_OTHER when neither is known. */
record_view views_of_code(const char *code, const char *meaning);
/* One MODIFIER_* bit; MODIFIER_OTHER when neither is known. */
uint32_t views_modifier_of_code(const char *code, const char *meaning);

typedef struct views_words {
    record_view view;   /* VIEW_UNKNOWN = none, or more than one */
    char side;          /* 'L', 'R', 0 = none or both */
    uint32_t modifiers; /* MODIFIER_* */
} views_words;
/* Words such as "LCC", "R MLO ID", "RIGHT CC". position: the text is ViewPosition, where short
 * words mean what they say; else a description, where only unmistakable ones count. */
void views_of_words(const char *words, bool position, views_words *out);
/* TEXT_* bits of `wanted` whose words stand in the text as whole words. */
uint32_t views_text_flags(const char *words, uint32_t wanted);
#endif
