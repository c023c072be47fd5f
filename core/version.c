/* The one object that holds the git id, so that a commit rebuilds one file. */
#include "core/version.h"

#ifndef MAMMOVIT_GIT
#define MAMMOVIT_GIT "unknown"
#endif

const char *version_number(void)
{
    return MAMMOVIT_VERSION;
}

const char *version_git(void)
{
    return MAMMOVIT_GIT;
}
