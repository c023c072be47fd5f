/* Unsafe libc calls become compile errors. Force-included by the Makefile into every C file of ours
 * (-include core/banned.h). The calls are redeclared as deprecated, which -Werror turns into an
 * error where we use them; poisoning the names would break third-party headers that reuse them. */
#ifndef CORE_BANNED_H
#define CORE_BANNED_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifndef __cplusplus
#define BANNED __attribute__((deprecated("banned in this project: core/banned.h")))
extern char *gets(char *s) BANNED;
extern char *strcpy(char *d, const char *s) BANNED;
extern char *strcat(char *d, const char *s) BANNED;
extern char *strncpy(char *d, const char *s, size_t n) BANNED;
extern char *strncat(char *d, const char *s, size_t n) BANNED;
extern char *strtok(char *s, const char *delim) BANNED;
extern int sprintf(char *s, const char *fmt, ...) BANNED;
extern int vsprintf(char *s, const char *fmt, __gnuc_va_list ap) BANNED;
extern int rand(void) BANNED;
extern void srand(unsigned seed) BANNED;
extern long random(void) BANNED;
extern double drand48(void) BANNED;
extern struct tm *gmtime(const time_t *t) BANNED;
extern struct tm *localtime(const time_t *t) BANNED;
extern char *ctime(const time_t *t) BANNED;
extern char *asctime(const struct tm *t) BANNED;
extern char *tmpnam(char s[L_tmpnam]) BANNED;
extern char *mktemp(char *s) BANNED;
#undef BANNED
/* libc may define these three inline, which forbids a later attribute; no header reuses the names
 */
#pragma GCC poison atoi atol atof
#endif
#endif
