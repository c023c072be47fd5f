/* What a call says on stderr: said_begin(file), the call, said_end(file, ...). */
#ifndef TESTS_UNIT_SAID_H
#define TESTS_UNIT_SAID_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/log.h"
#include "core/mem.h"

typedef struct said {
    int saved;
    log_level level;
} said;

static inline said said_begin(const char *file)
{
    said s = {.saved = dup(2), .level = log_get_level()};
    int fd = open(file, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (fd < 0 || dup2(fd, 2) < 0)
        abort();
    close(fd);
    log_set_level(LOG_WARN);
    return s;
}

/* Were these words among it? */
static inline bool said_end(said s, const char *file, const char *words)
{
    char *got;
    size_t len;
    log_set_level(s.level);
    dup2(s.saved, 2);
    close(s.saved);
    if (!fs_read(file, 1 << 20, &got, &len, NULL))
        abort();
    bool there = strstr(got, words) != NULL;
    mem_free(got);
    return there;
}
#endif
