/* A test hook for crash safety. MAMMOVIT_TEST_KILL="name:n" makes the n-th passage (1-based) of the
 * point with that name end the process with SIGKILL, as a power cut or the kernel's memory killer
 * would; without the variable every point is nothing. docs/formats.md lists the points. */
#ifndef CORE_KILL_H
#define CORE_KILL_H

void kill_point(const char *name);
#endif
