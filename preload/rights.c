/*
 * A process that gives its rights up. The gateway asks the kernel who connects: a worker that is to serve what its parent
 * has opened as root attaches while it is root itself (nginx's `user`), as it would have bound its port then.
 *
 * Left out: groups, as root may attach whatever its groups are; setfsuid; raw system calls.
 */
#include "preload.h"

#include <unistd.h>

static bool is_foreign(struct description *description, void *found)
{
    return !(*(bool *)found = description->foreign);
}

static void before_leaving(uid_t user)
{
    bool inherits = false;
    if (LIKELY(!fork_inherits) || process.worker != NULL || process.attach_path == NULL || user == (uid_t)-1 ||
        user == geteuid() || !lock())
        return;
    descriptions_each(is_foreign, &inherits);
    if (inherits && attach() != NULL)
        register_open();
    unlock();
}

EXPORT int setuid(uid_t user)
{
    before_leaving(user);
    return LIBC->setuid(user);
}

EXPORT int seteuid(uid_t user)
{
    before_leaving(user);
    return LIBC->seteuid(user);
}

EXPORT int setreuid(uid_t real, uid_t user)
{
    before_leaving(user);
    return LIBC->setreuid(real, user);
}

EXPORT int setresuid(uid_t real, uid_t user, uid_t saved)
{
    before_leaving(user);
    return LIBC->setresuid(real, user, saved);
}
