/* What the device is: vendors by the beginning of Manufacturer, products by words of the model's
 * name. dicom.md 1, row Device. */
#include "dicom/record.h"

#include "core/text.h"

#include <ctype.h>
#include <string.h>

typedef struct product {
    const char *name;   /* upper case, words separated by one space; longer names first */
    const char *vendor; /* "" = the name alone does not tell */
} product;
static const product products[] = {
    {"LORAD SELENIA", "HOLOGIC"},
    {"SELENIA DIMENSIONS", "HOLOGIC"},
    {"3DIMENSIONS", "HOLOGIC"},
    {"SELENIA", "HOLOGIC"},
    {"DIMENSIONS", "HOLOGIC"},
    {"AFFIRM PRONE", "HOLOGIC"},
    {"LORAD", "HOLOGIC"},
    {"SENOGRAPHE PRISTINA", "GE"},
    {"SENOGRAPHE ESSENTIAL", "GE"},
    {"SENOGRAPHE CRYSTAL", "GE"},
    {"SENOGRAPHE CARE", "GE"},
    {"SENOGRAPHE 2000D", "GE"},
    {"SENOGRAPH 2000D", "GE"},
    {"SENOGRAPHE DS", "GE"},
    {"SENOGRAPH DS", "GE"},
    {"SENOGRAPHE", "GE"},
    {"SENOGRAPH", "GE"},
    {"SENOCLAIRE", "GE"},
    {"PRISTINA", "GE"},
    {"MAMMOMAT INSPIRATION", "SIEMENS"},
    {"MAMMOMAT REVELATION", "SIEMENS"},
    {"MAMMOMAT FUSION", "SIEMENS"},
    {"MAMMOMAT SELECT", "SIEMENS"},
    {"MAMMOMAT NOVATION DR", "SIEMENS"},
    {"MAMMOMAT NOVATION", "SIEMENS"},
    {"MAMMOMAT B BRILLIANT", "SIEMENS"},
    {"MAMMOMAT", "SIEMENS"},
    {"AMULET INNOVALITY", "FUJI"},
    {"AMULET SOPHINITY", "FUJI"},
    {"AMULET ELITE", "FUJI"},
    {"AMULET", "FUJI"},
    {"FDR 3000AWS", "FUJI"},
    {"FDR 2000AWS", "FUJI"},
    {"FDR 1000AWS", "FUJI"},
    {"FDR MS 3500", "FUJI"},
    {"FDR MS 2500", "FUJI"},
    {"FDR MS 2000", "FUJI"},
    {"FDR MS 1000", "FUJI"},
    {"FDR", "FUJI"},
    {"MICRODOSE SI", "PHILIPS"},
    {"MICRODOSE", "PHILIPS"},
    {"L30", ""},
    {"L50", ""},
    {"NUANCE EXCEL", "PLANMED"},
    {"NUANCE CLASSIC", "PLANMED"},
    {"NUANCE", "PLANMED"},
    {"CLARITY", "PLANMED"},
    {"GIOTTO CLASS", "IMS"},
    {"GIOTTO TOMO", "IMS"},
    {"GIOTTO IMAGE", "IMS"},
    {"GIOTTO", "IMS"},
    {"HELIANTHUS", "OTHER"},
    {"REGIUS", "KONICA"},
    {"DIRECTVIEW", "CARESTREAM"},
};

/* NULL = not in the table. */
static const product *product_of(const char *model)
{
    char words[80];
    text_words(model, false, words, sizeof(words));
    for (size_t i = 0; i < COUNT_OF(products); i++)
        if (text_has_words(words, products[i].name))
            return &products[i];
    return NULL;
}

const char *record_vendor(const char *manufacturer)
{
    static const struct {
        const char *prefix, *vendor;
    } table[] = {
        {"HOLOGIC", "HOLOGIC"},
        {"LORAD", "HOLOGIC"},
        {"GENERAL ELECTRIC", "GE"},
        {"GE", "GE"},
        {"SIEMENS", "SIEMENS"},
        {"FUJI", "FUJI"},
        {"PHILIPS", "PHILIPS"},
        {"SECTRA", "PHILIPS"},
        {"IMS", "IMS"},
        {"I.M.S", "IMS"},
        {"GIOTTO", "IMS"},
        {"PLANMED", "PLANMED"},
        {"KONICA", "KONICA"},
        {"CARESTREAM", "CARESTREAM"},
        {"KODAK", "CARESTREAM"},
        {"EASTMAN KODAK", "CARESTREAM"},
        {"AGFA", "AGFA"},
    };
    while (*manufacturer == ' ')
        manufacturer++;
    if (!*manufacturer)
        return "";
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        size_t n = strlen(table[i].prefix), k = 0;
        while (k < n && toupper((unsigned char)manufacturer[k]) == table[i].prefix[k])
            k++;
        /* two and three letters must be a word of their own */
        if (k == n && (n > 3 || !isalpha((unsigned char)manufacturer[n])))
            return table[i].vendor;
    }
    return "OTHER";
}

/* De-identifiers drop the manufacturer more often than the product's name. */
void record_set_vendor(record *r)
{
    const char *vendor = record_vendor(r->manufacturer);
    const product *p = vendor[0] ? NULL : product_of(r->model);
    text_copy(r->vendor, sizeof(r->vendor), p ? p->vendor : vendor);
}

const char *record_model_public(const record *r)
{
    const product *p = product_of(r->model);
    if (p)
        return p->name;
    return r->model[strspn(r->model, " ")] ? "OTHER" : "";
}
