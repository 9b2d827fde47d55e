/*
 * A process that gives its rights up. The gateway asks the kernel who connects, and who it is by now when it claims a
 * port: a worker that is to serve what its parent has opened as root attaches while it is root itself (nginx's `user`),
 * and what a process has bound as root, and not listened to yet, it claims before it can no longer.
 *
 * Left out: groups, as root may attach whatever its groups are; setfsuid; raw system calls.
 */
#include "preload.h"

#include <unistd.h>

static bool is_foreign(struct description *description, void *found)
{
    return !(*(bool *)found = description->foreign);
}

static bool claim_bound(struct description *description, void *unused)
{
    (void)unused;
    if (description->path >= PATH_OURS && description->type == SOCK_STREAM && !description->foreign &&
        !description->connected && description->handle >= 0)
        claim_name(description, PRONGHORN_CLAIM_BIND); /* once: not what it listens to already */
    return true;
}

static void before_leaving(uid_t user)
{
    bool inherits = false;
    int error = errno;
    if (process.attach_path == NULL || user == (uid_t)-1 || user == geteuid() || !lock())
        return;
    if (process.worker != NULL) {
        descriptions_each(claim_bound, NULL);
    } else if (UNLIKELY(fork_inherits)) {
        descriptions_each(is_foreign, &inherits);
        if (inherits && attach() != NULL)
            register_open();
    }
    unlock();
    errno = error;
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
