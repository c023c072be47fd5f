/* Crash points for tests: reads MAMMOVIT_TEST_KILL once, counts passages of the named point only.
 * Not a feature for users; the environment variable is documented as a test hook. */
#include "core/kill.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "core/text.h"

#define KILL_NAME_MAX 64

static char kill_name[KILL_NAME_MAX]; /* "" = no point is armed */
static int64_t kill_at;
static atomic_int_fast64_t kill_seen;
static pthread_once_t kill_once = PTHREAD_ONCE_INIT;

static void kill_read(void)
{
    const char *s = getenv("MAMMOVIT_TEST_KILL");
    const char *colon = s ? strrchr(s, ':') : NULL;
    if (!colon || colon == s || colon - s >= KILL_NAME_MAX)
        return;
    if (!text_i64(colon + 1, &kill_at) || kill_at < 1)
        return;
    memcpy(kill_name, s, (size_t)(colon - s));
}

void kill_point(const char *name)
{
    pthread_once(&kill_once, kill_read);
    if (!kill_name[0] || strcmp(kill_name, name) != 0)
        return;
    if (atomic_fetch_add(&kill_seen, 1) + 1 == kill_at)
        raise(SIGKILL);
}
