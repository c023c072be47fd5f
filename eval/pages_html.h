/* An exam page as HTML: the plain views as they hang; maps as layers that are off at first and are
 * switched by radio buttons without a script; window, level and opacity where the script runs. */
#ifndef EVAL_PAGES_HTML_H
#define EVAL_PAGES_HTML_H

#include "core/text.h"
#include "eval/pages_in.h"

/* block: data of a DOC_PAGES block (part_images.c); images: that page views point into. */
void pages_html(const json_t *block, const report_image *images, text *out);
extern const char pages_html_style[];
#endif
