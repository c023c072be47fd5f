/* Unsafe libc calls become compile errors. Force-included by the Makefile into every C file
 * of ours (-include core/banned.h), after the system headers that declare them. */
#ifndef CORE_BANNED_H
#define CORE_BANNED_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#pragma GCC poison gets strcpy strcat sprintf vsprintf strncpy strncat strtok atoi atol atof alloca
#pragma GCC poison gmtime localtime ctime asctime rand srand drand48 random tmpnam mktemp
#endif
