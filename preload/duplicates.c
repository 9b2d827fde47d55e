/*
 * dup, dup2, dup3, close_range, closefrom: several numbers of one description, and many numbers at once.
 */
#include "preload.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

EXPORT int dup(int fd)
{
    struct description *description = description_of(fd);
    return description == NULL ? LIBC->dup(fd) : fcntl(fd, F_DUPFD, 0);
}

/* dup2 and dup3 when either number is known. Lock held; the new number, or minus an errno. */
static int duplicate(struct description *description, int fd, int target, int flags, bool third)
{
    struct description *before = description_of(target);
    if (before != NULL && before->path == PATH_HIDDEN)
        return -EBUSY;
    int made = third ? LIBC->dup3(fd, target, flags) : LIBC->dup2(fd, target);
    if (made < 0)
        return -errno;
    if (fd == target)
        return made;
    if (description != NULL && !description_share(description, target)) {
        LIBC->close(target);
        return -EMFILE;
    }
    if (description == NULL)
        description_drop(target);
    return made;
}

static int duplicate_to(int fd, int target, int flags, bool third)
{
    struct description *description = description_of(fd);
    if (LIKELY(description == NULL && description_of(target) == NULL))
        return third ? LIBC->dup3(fd, target, flags) : LIBC->dup2(fd, target);
    if (!lock())
        return fail(-EAGAIN);
    int result = duplicate(description_of(fd), fd, target, flags, third);
    unlock();
    return result >= 0 ? result : fail(result);
}

EXPORT int dup2(int fd, int target)
{
    return duplicate_to(fd, target, 0, false);
}

EXPORT int dup3(int fd, int target, int flags)
{
    return duplicate_to(fd, target, flags, true);
}

static int close_numbers(unsigned first, unsigned last, int flags)
{
    if (LIBC->close_range != NULL)
        return LIBC->close_range(first, last, flags);
#ifdef SYS_close_range
    return (int)syscall(SYS_close_range, first, last, flags);
#else
    return fail(-ENOSYS);
#endif
}

/* Everything but the numbers that we use ourselves. */
EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    if (first > last)
        return fail(-EINVAL);
    if ((flags & CLOSE_RANGE_CLOEXEC) != 0 || !process.enabled)
        return close_numbers(first, last, flags);
    if (!lock())
        return fail(-EAGAIN);
    int result = 0;
    unsigned end = (unsigned)descriptions_end(), start = first;
    for (unsigned fd = first; fd <= last && fd < end && result == 0; fd++) {
        if (descriptions[fd] == NULL)
            continue;
        if (descriptions[fd]->path != PATH_HIDDEN) {
            description_drop((int)fd);
            continue;
        }
        if (fd > start)
            result = close_numbers(start, fd - 1, flags);
        start = fd + 1;
    }
    if (result == 0 && start <= last)
        result = close_numbers(start, last, flags);
    unlock();
    return result;
}

EXPORT void closefrom(int first)
{
    if (close_range(first < 0 ? 0 : (unsigned)first, ~0U, 0) == 0)
        return;
    long end = sysconf(_SC_OPEN_MAX);
    for (int fd = first < 0 ? 0 : first; fd < end; fd++)
        close(fd);
}
