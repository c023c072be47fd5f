/* Version, git id and build flags of this binary. */
#ifndef CORE_VERSION_H
#define CORE_VERSION_H
const char *version_number(void); /* "0.1.0" */
const char *version_git(void);    /* "1a2b3c4d5e6f" or "...-dirty" */
#endif
