/* Numbers for readers: the decimal mark and the separator of thousands are words of the report
 * (number.decimal, number.thousands), so that a translation sets them. eval.json and CSV never come
 * through here: they keep the point. */
#ifndef EVAL_REPORT_NUMBER_H
#define EVAL_REPORT_NUMBER_H

#include "core/text.h"

/* Append a number as the C library prints it ("-1234.5", "<0.001", "1e-05") in the marks of the
 * language. */
void report_number(text *out, const char *plain);
/* The same in place, cut at the capacity. */
void report_number_in(char *s, size_t cap);
#endif
