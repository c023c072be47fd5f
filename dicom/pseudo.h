/* Keyed pseudonyms: HMAC-SHA-256(key, "domain|value"), first 128 bits as hex (dicom.md 8). The key
 * is STORE/key, 32 random bytes, mode 0600, made by scan, never copied or logged. */
#ifndef DICOM_PSEUDO_H
#define DICOM_PSEUDO_H

#include "core/err.h"

typedef struct pseudo pseudo;
pseudo *pseudo_open(const char *store, bool create, err *e); /* refuses a key readable by others */
void pseudo_free(pseudo *p);
/* domain: "patient", "exam", "image", "accession". value "" gives "". */
void pseudo_name(const pseudo *p, const char *domain, const char *value, char out[33]);
/* The value of the patient domain: issuer and identifier, trimmed and upper-cased, so that one
 * woman has one name however her number was typed. "" without a PatientID. */
void pseudo_patient(const pseudo *p, const char *issuer, const char *patient_id, char out[33]);
/* The same for record.other_ids, entry by entry ("ISSUER|ID" joined by '\\'): names of the patient
 * domain, so that each equals the name of the images that carry this number as their PatientID.
 * Returns how many of at most `cap` were written. */
int pseudo_others(const pseudo *p, const char *other_ids, char (*out)[33], int cap);
/* Where the key itself begins in the bytes, as it is or in hex; -1 = nowhere. For deid-check. */
int64_t pseudo_key_at(const pseudo *p, const uint8_t *data, size_t n);
void pseudo_key_id(const pseudo *p, char out[17]); /* tells keys apart, reveals nothing */
#endif
