/*
 * Socket options, and the flags and duplicates of numbers. What is set before the path is decided goes to the kernel's
 * socket, whose answer counts, and is remembered for the engine's.
 */
#include "preload.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>

#define LONGEST_OPTION 1024
#define MOST_OPTIONS 256 /* of one socket; group memberships add up */

struct remembered {
    struct remembered *next;
    int level, name;
    socklen_t octets;
    uint8_t value[];
};

/* --- what is remembered ------------------------------------------------------------------------------------------ */

/* Options that add something each time; of the others the last one counts. */
static bool adds(int level, int name)
{
    return (level == 0 && name >= 35 && name <= 48) || (level == 41 && (name == 20 || name == 21));
}

static void remember(struct description *description, int level, int name, const void *value, socklen_t octets)
{
    struct remembered **place = &description->options, *made;
    int count = 0;
    if (octets > LONGEST_OPTION || (made = malloc(sizeof *made + octets)) == NULL)
        return;
    *made = (struct remembered){.level = level, .name = name, .octets = octets};
    memcpy(made->value, value, octets);
    while (*place != NULL && count++ < MOST_OPTIONS) {
        struct remembered *found = *place;
        if (found->level == level && found->name == name && !adds(level, name)) {
            *place = found->next;
            free(found);
        } else {
            place = &found->next;
        }
    }
    made->next = *place;
    *place = made;
}

void apply_options(struct description *description)
{
    for (struct remembered *option = description->options; option != NULL; option = option->next)
        pronghorn_set_option(process.worker, description->handle, option->level, option->name,
                             (int64_t)(uintptr_t)option->value, option->octets);
}

void forget_options(struct description *description)
{
    while (description->options != NULL) {
        struct remembered *option = description->options;
        description->options = option->next;
        free(option);
    }
}

/* --- setsockopt, getsockopt -------------------------------------------------------------------------------------- */

/* SO_RCVTIMEO and SO_SNDTIMEO: what waits is here. */
static int set_timeout(int64_t *timeout, const void *value, socklen_t octets)
{
    struct timeval time;
    if (octets < sizeof time)
        return -EINVAL;
    memcpy(&time, value, sizeof time);
    if (time.tv_usec < 0 || time.tv_usec >= 1000000)
        return -EDOM;
    *timeout = time.tv_sec < 0 ? 1 : time.tv_sec > 9000000000LL ? 0 : time.tv_sec * SECOND + time.tv_usec * 1000LL;
    return 0;
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t octets)
{
    struct description *description = description_of(fd);
    if (description == NULL || description->path == PATH_EPOLL)
        return LIBC->setsockopt(fd, level, name, value, octets);
    int result = lock_on(fd, description);
    if (result != 0)
        return fail(result);
    bool receiving = level == SOL_SOCKET && (name == SO_RCVTIMEO_OLD || name == SO_RCVTIMEO_NEW);
    bool sending = level == SOL_SOCKET && (name == SO_SNDTIMEO_OLD || name == SO_SNDTIMEO_NEW);
    if (description->path != PATH_OURS)
        description->touched = true;
    if (description->path != PATH_OURS && LIBC->setsockopt(fd, level, name, value, octets) != 0 &&
        description->path != PATH_BOTH)
        result = -errno;
    if (result == 0 && (receiving || sending))
        result = set_timeout(receiving ? &description->receive_timeout : &description->send_timeout, value, octets);
    else if (result == 0 && description->path == PATH_UNDECIDED && value != NULL)
        remember(description, level, name, value, octets);
    else if (result == 0 && description->path >= PATH_OURS)
        result = value == NULL ? -EFAULT
                               : (int)pronghorn_set_option(process.worker, description->handle, level, name,
                                                           (int64_t)(uintptr_t)value, octets);
    if (result == 0 && description->path >= PATH_OURS && !description->connected && !receiving && !sending)
        remember(description, level, name, value, octets); /* a forked child opens the listener again */
    if (description->path >= PATH_OURS)
        turn_after(description); /* TCP_NODELAY and TCP_CORK send */
    unlock();
    return result == 0 ? 0 : fail(result);
}

static int get_timeout(int64_t timeout, void *value, socklen_t *octets)
{
    struct timeval time = {timeout / SECOND, timeout % SECOND / 1000};
    *octets = *octets < sizeof time ? *octets : sizeof time;
    memcpy(value, &time, *octets);
    return 0;
}

EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *octets)
{
    struct description *description = ours(fd);
    if (description == NULL)
        return LIBC->getsockopt(fd, level, name, value, octets);
    if (value == NULL || octets == NULL)
        return fail(-EFAULT);
    if (level == SOL_SOCKET && (name == SO_RCVTIMEO_OLD || name == SO_RCVTIMEO_NEW))
        return get_timeout(description->receive_timeout, value, octets);
    if (level == SOL_SOCKET && (name == SO_SNDTIMEO_OLD || name == SO_SNDTIMEO_NEW))
        return get_timeout(description->send_timeout, value, octets);
    int64_t result = lock_on(fd, description);
    if (result != 0)
        return fail(result);
    result = pronghorn_get_option(process.worker, description->handle, level, name, (int64_t)(uintptr_t)value, *octets);
    unlock();
    if (result < 0)
        return fail(result);
    *octets = (socklen_t)result;
    return 0;
}

/* --- ioctl, fcntl ------------------------------------------------------------------------------------------------ */

/* What of F_SETFL's flags a socket keeps. */
static int flags_kept(const struct description *description, long flags)
{
    return (description->flags & O_ACCMODE) | (int)(flags & (O_NONBLOCK | O_APPEND | O_DIRECT | O_NOATIME));
}

static void set_flags(int fd, struct description *description, int flags)
{
    description->flags = flags_kept(description, flags);
    if (description->path < PATH_OURS && description->spare == 0)
        LIBC->fcntl(fd, F_SETFL, flags);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    struct description *description = description_of(fd);
    if (description == NULL || description->path == PATH_EPOLL)
        return LIBC->ioctl(fd, request, argument);
    int result = lock_on(fd, description);
    if (result != 0)
        return fail(result);
    int64_t answer = 0;
    if (request == FIONBIO) {
        int flags = *(int *)argument != 0 ? description->flags | O_NONBLOCK : description->flags & ~O_NONBLOCK;
        set_flags(fd, description, flags);
    } else if (description->path < PATH_OURS || (request != FIONREAD && request != SIOCOUTQ && request != SIOCATMARK &&
                                                 request != FIOASYNC && request != SIOCSPGRP && request != FIOSETOWN)) {
        if (description->path < PATH_OURS)
            description->touched = true;
        unlock();
        return LIBC->ioctl(fd, request, argument); /* interfaces, routes: any socket will do */
    } else if (request == FIONREAD) {
        shelf_look(description);
        answer = pronghorn_unread(process.worker, description->handle);
        if (answer == 0 && description->path == PATH_BOTH) {
            unlock();
            return LIBC->ioctl(fd, request, argument);
        }
    } else if (request == SIOCOUTQ) {
        answer = pronghorn_unsent(process.worker, description->handle);
    } else if (request == SIOCATMARK) {
        answer = pronghorn_at_mark(process.worker, description->handle);
    } else {
        report("sigio", "signal-driven input (SIOCSPGRP, FIOASYNC) does not exist on our sockets: EOPNOTSUPP");
        answer = -EOPNOTSUPP;
    }
    unlock();
    if (answer < 0)
        return fail(answer);
    if (request != FIONBIO)
        *(int *)argument = (int)answer;
    return 0;
}

/* Lock held; minus an errno. */
static int control_ours(int fd, struct description *description, int command, long argument)
{
    switch (command) {
    case F_GETFL:
        return description->flags;
    case F_SETFL:
        if ((argument & O_ASYNC) != 0) {
            report("sigio", "signal-driven input (O_ASYNC) does not exist on our sockets: EOPNOTSUPP");
            return -EOPNOTSUPP;
        }
        set_flags(fd, description, (int)argument);
        return 0;
    case F_SETOWN:
    case F_SETOWN_EX:
    case F_SETSIG:
        report("sigio", "signal-driven input (F_SETOWN, F_SETSIG) does not exist on our sockets: EOPNOTSUPP");
        return -EOPNOTSUPP;
    default:
        break;
    }
    int result = LIBC->fcntl(fd, command, argument);
    if (result < 0)
        return -errno;
    if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && !description_share(description, result)) {
        LIBC->close(result);
        return -EMFILE;
    }
    return result;
}

static int control(int fd, int command, long argument)
{
    struct description *description = description_of(fd);
    bool flags = command == F_GETFL || command == F_SETFL || command == F_SETOWN || command == F_SETOWN_EX ||
                 command == F_SETSIG;
    if (description == NULL || description->path == PATH_HIDDEN || (flags && description->path == PATH_EPOLL))
        return LIBC->fcntl(fd, command, argument);
    int result = lock_number(fd, description);
    if (result != 0)
        return fail(result);
    bool usual = command == F_GETFL || (command == F_SETFL && (argument & O_ASYNC) == 0);
    if (flags && description->path < PATH_OURS && (description->spare == 0 || !usual)) {
        spare_settle(description);
        description->touched = description->touched || !usual;
        result = LIBC->fcntl(fd, command, argument);
        if (result >= 0 && command == F_SETFL)
            description->flags = flags_kept(description, argument);
        unlock();
        return result;
    }
    result = control_ours(fd, description, command, argument);
    unlock();
    return result >= 0 ? result : fail(result);
}

EXPORT int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    long argument = va_arg(arguments, long);
    va_end(arguments);
    return LIKELY(description_of(fd) == NULL) ? LIBC->fcntl(fd, command, argument) : control(fd, command, argument);
}

EXPORT int fcntl64(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    long argument = va_arg(arguments, long);
    va_end(arguments);
    return LIKELY(description_of(fd) == NULL) ? LIBC->fcntl(fd, command, argument) : control(fd, command, argument);
}
