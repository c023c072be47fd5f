/* What report.html carries beside its words: the style sheet, the one script, and the policy that
 * lets this script run and nothing else. evaluation.md 19. */
#ifndef EVAL_REPORT_PAGE_H
#define EVAL_REPORT_PAGE_H

#include "core/text.h"

const char *report_page_style(void);
/* Sorting of tables, light and dark, opening and closing of details. The page is complete without
 * it: the script makes the buttons of table heads and shows the tool bar. Holds no words of its
 * own. Never contains "</". */
const char *report_page_script(void);
/* Append the content security policy; script-src is the SHA-256 of report_page_script(). */
void report_page_policy(text *out);
#endif
