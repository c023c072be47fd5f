/* Decimal mark and thousands in printed numbers. */
#include "eval/report_number.h"
#include "eval/report_text.h"
#include <ctype.h>
#include <string.h>

void report_number(text *out, const char *plain)
{
    const char *mark = report_text("number.decimal"), *group = report_text("number.thousands");
    const char *p = plain;
    while (*p && !isdigit((unsigned char)*p)) /* signs */
        text_addn(out, p++, 1);
    size_t whole = strspn(p, "0123456789");
    for (size_t i = 0; i < whole; i++) {
        if (i && (whole - i) % 3 == 0)
            text_add(out, group);
        text_addn(out, p + i, 1);
    }
    p += whole;
    if (*p == '.' && isdigit((unsigned char)p[1])) {
        text_add(out, mark);
        p++;
    }
    text_add(out, p);
}

void report_number_in(char *s, size_t cap)
{
    text t;
    text_init(&t);
    report_number(&t, s);
    text_copy(s, cap, t.s);
    text_release(&t);
}
