/* The books as one flow for readers: files, images, exams, women, each row with its unit, small
 * numbers of reasons joined. Rows are those of report.h after report_in_check_flow. */
#ifndef EVAL_REPORT_FLOW_H
#define EVAL_REPORT_FLOW_H

#include "core/json.h"

/* In order of units: files, images, exams, women; rows of tables last. Rows of one unit keep their
 * order. */
void report_flow_order(json_t *flow);
/* Reasons of 1 to minimum - 1 that may tell of a woman's health become one row ("joined": true) at
 * the end of their stage, with the next smallest where their sum would tell of them; a stage that
 * has no other reason is counted with its neighbour of the same unit, and a few that are alone in a
 * unit are not counted. Rows add up as before. Rows with exams and women get exams_lost, women_lost
 * (whose last file went) and exams_part (that lost some; null: hidden, or not known of joined
 * rows); a row of few women is small, too, whatever its files, and where no joining helps all of
 * these numbers go. */
void report_flow_join(json_t *flow, int64_t minimum);
#endif
