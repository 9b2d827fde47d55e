/*
 * poll and select over the kernel's descriptors and ours together. Sockets of ours are asked by their events; everything
 * else, and the kernel's side of what has two, is slept on as it is.
 */
#include "preload.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define FEW 64
#define MOST (1 << 20)

extern void __chk_fail(void) __attribute__((noreturn));
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *time, const sigset_t *mask, size_t room);

struct asked {
    struct pollfd *fds;
    struct pollfd *kernel;       /* the same, -1 where the kernel is not to be asked */
    struct description **owners; /* NULL: libc's alone */
    nfds_t count;
    nfds_t kernels;              /* entries of `kernel` that are not -1 */
};

/* The engine has something to say about the number, now or later. */
static bool is_engines(const struct description *found)
{
    return found != NULL && (found->path >= PATH_OURS || (found->path == PATH_EPOLL && found->handle >= 0));
}

static short events_now(struct description *owner)
{
    uint32_t events = description_events(owner);
    if ((events & EPOLLIN) != 0)
        events |= EPOLLRDNORM;
    if ((events & EPOLLOUT) != 0)
        events |= EPOLLWRNORM;
    return (short)events;
}

static bool is_ready(void *context)
{
    struct asked *asked = context;
    for (nfds_t place = 0; place < asked->count; place++) {
        struct description *owner = asked->owners[place];
        if (owner == NULL)
            continue;
        if (owner->references == 0 ||
            (events_now(owner) & (asked->fds[place].events | POLLERR | POLLHUP)) != 0)
            return true;
    }
    return false;
}

/* Sort the descriptors, which stay what they are until `let_go`. Lock held. */
static void sort(struct asked *asked)
{
    for (nfds_t place = 0; place < asked->count; place++) {
        struct description *owner = description_of(asked->fds[place].fd);
        if (owner != NULL && owner->path == PATH_HIDDEN) {
            asked->kernel[place] = (struct pollfd){.fd = INT_MAX}; /* POLLNVAL */
            asked->kernels++;
            continue;
        }
        if (UNLIKELY(owner != NULL && owner->foreign))
            fork_adopt(owner);
        else if (UNLIKELY(fork_count != 0 && owner != NULL && owner->listening))
            fork_take_part(owner);
        asked->kernel[place] = asked->fds[place];
        asked->kernel[place].revents = 0;
        if (!is_engines(owner) || asked->fds[place].fd < 0) {
            asked->owners[place] = NULL;
            asked->kernels += asked->fds[place].fd >= 0;
            continue;
        }
        asked->owners[place] = owner;
        description_use(owner);
        if (owner->path == PATH_OURS)
            asked->kernel[place].fd = -1;
        else
            asked->kernels++;
    }
}

static void let_go(struct asked *asked)
{
    for (nfds_t place = 0; place < asked->count; place++)
        if (asked->owners[place] != NULL)
            description_done(asked->owners[place]);
}

/* Write down what is so; how many have something. Lock held. */
static int answer(struct asked *asked)
{
    int ready = 0;
    for (nfds_t place = 0; place < asked->count; place++) {
        struct pollfd *fd = &asked->fds[place];
        struct description *owner = asked->owners[place];
        fd->revents = asked->kernel[place].fd < 0 ? 0 : asked->kernel[place].revents;
        if (owner != NULL && owner->references == 0)
            fd->revents = POLLNVAL;
        else if (owner != NULL)
            fd->revents |= events_now(owner) & (fd->events | POLLERR | POLLHUP);
        ready += fd->revents != 0;
    }
    return ready;
}

/* Lock held. Descriptors that have something, or minus an errno. `deadline`: as wait_until's. */
static int wait_for(struct asked *asked, int64_t deadline, const sigset_t *mask)
{
    static const struct timespec none;
    nfds_t count = asked->kernels != 0 ? asked->count : 0;
    int result = wait_until(is_ready, asked, deadline, asked->kernel, count, mask);
    if (result == 1 && count != 0) /* what the kernel's have to say as well */
        LIBC->ppoll(asked->kernel, asked->count, &none, NULL);
    return result < 0 ? result : answer(asked);
}

static int poll_all(struct pollfd *fds, nfds_t count, int64_t deadline, const sigset_t *mask)
{
    struct pollfd few[FEW];
    struct description *few_owners[FEW];
    struct asked asked = {.fds = fds, .kernel = few, .owners = few_owners, .count = count};
    memset(few_owners, 0, sizeof few_owners);
    if (count > FEW) {
        asked.kernel = malloc(count * sizeof *asked.kernel);
        asked.owners = calloc(count, sizeof *asked.owners);
    }
    int result = -ENOMEM;
    if (asked.kernel != NULL && asked.owners != NULL) {
        result = -EINTR;
        if (lock()) {
            sort(&asked);
            result = wait_for(&asked, deadline, mask);
            let_go(&asked);
            unlock();
        }
    }
    if (count > FEW) {
        free(asked.kernel);
        free(asked.owners);
    }
    return result;
}

static int64_t deadline_of(int64_t ns)
{
    return ns < 0 ? FOREVER : ns == 0 ? 0 : clock_now() + ns;
}

static int64_t ns_of(const struct timespec *time)
{
    if (time == NULL || time->tv_sec >= 1000000000)
        return -1;
    return (int64_t)time->tv_sec * SECOND + time->tv_nsec;
}

/* --- poll -------------------------------------------------------------------------------------------------------- */

/* Whether the engine is concerned: some of it is ours, or the stack has to be turned while this thread waits. */
static bool concerns_us(struct pollfd *fds, nfds_t count, bool waits)
{
    if (!process.enabled || count > MOST || fds == NULL)
        return false;
    if (waits && process.worker != NULL && !process.wakeup)
        return true;
    for (nfds_t place = 0; place < count; place++)
        if (description_of(fds[place].fd) != NULL)
            return process.worker != NULL || fork_inherits;
    return false;
}

EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *time, const sigset_t *mask)
{
    bool wrong = time != NULL && (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= SECOND);
    if (wrong || !concerns_us(fds, count, ns_of(time) != 0))
        return LIBC->ppoll(fds, count, time, mask);
    int result = poll_all(fds, count, deadline_of(ns_of(time)), mask);
    return result >= 0 ? result : fail(result);
}

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (!concerns_us(fds, count, timeout != 0))
        return LIBC->poll(fds, count, timeout);
    int result = poll_all(fds, count, deadline_of(timeout < 0 ? -1 : timeout * 1000000LL), NULL);
    return result >= 0 ? result : fail(result);
}

EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room)
{
    if (room / sizeof *fds < count)
        __chk_fail();
    return poll(fds, count, timeout);
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *time, const sigset_t *mask, size_t room)
{
    if (room / sizeof *fds < count)
        __chk_fail();
    return ppoll(fds, count, time, mask);
}

/* --- select ------------------------------------------------------------------------------------------------------ */

#define READ_EVENTS (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR) /* fs/select.c */
#define WRITE_EVENTS (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)

typedef unsigned long word; /* of an fd_set, which may be longer than FD_SETSIZE */
#define BITS (8 * (int)sizeof(word))

static inline bool has(const fd_set *set, int fd)
{
    return set != NULL && (((const word *)(const void *)set)[fd / BITS] >> (fd % BITS) & 1) != 0;
}

static inline void put(fd_set *set, int fd, bool is_so)
{
    word *place;
    if (set == NULL)
        return;
    place = &((word *)(void *)set)[fd / BITS];
    *place = is_so ? *place | 1UL << (fd % BITS) : *place & ~(1UL << (fd % BITS));
}

static short select_events(int fd, const fd_set *read, const fd_set *write, const fd_set *rare)
{
    return (short)((has(read, fd) ? POLLIN | POLLRDNORM | POLLRDBAND : 0) | (has(write, fd) ? POLLOUT | POLLWRNORM : 0) |
                   (has(rare, fd) ? POLLPRI : 0));
}

/* What is ready becomes what the sets hold; how many bits that are. */
static int write_sets(struct pollfd *fds, nfds_t count, int end, fd_set *read, fd_set *write, fd_set *rare)
{
    int bits = 0;
    nfds_t place = 0;
    for (int fd = 0; fd < end; fd++) {
        short found = place < count && fds[place].fd == fd ? fds[place++].revents : 0;
        bool in = has(read, fd) && (found & READ_EVENTS) != 0, out = has(write, fd) && (found & WRITE_EVENTS) != 0;
        bool urgent = has(rare, fd) && (found & POLLPRI) != 0;
        put(read, fd, in);
        put(write, fd, out);
        put(rare, fd, urgent);
        bits += in + out + urgent;
    }
    return bits;
}

static bool selects_us(int end, const fd_set *read, const fd_set *write, const fd_set *rare, bool waits)
{
    if (!process.enabled || (process.worker == NULL && !fork_inherits) || end < 0 || end > MOST)
        return false;
    if (waits && process.worker != NULL && !process.wakeup)
        return true;
    for (int fd = 0; fd < end; fd++)
        if (description_of(fd) != NULL && (has(read, fd) || has(write, fd) || has(rare, fd)))
            return true;
    return false;
}

static int select_all(int end, fd_set *read, fd_set *write, fd_set *rare, int64_t deadline, const sigset_t *mask)
{
    struct pollfd few[FEW], *fds = few;
    nfds_t count = 0;
    for (int fd = 0; fd < end; fd++)
        count += has(read, fd) || has(write, fd) || has(rare, fd);
    if (count > FEW && (fds = malloc(count * sizeof *fds)) == NULL)
        return -ENOMEM;
    nfds_t place = 0;
    for (int fd = 0; fd < end; fd++)
        if (has(read, fd) || has(write, fd) || has(rare, fd))
            fds[place++] = (struct pollfd){.fd = fd, .events = select_events(fd, read, write, rare)};
    int result = poll_all(fds, count, deadline, mask);
    for (place = 0; result > 0 && place < count; place++)
        if ((fds[place].revents & POLLNVAL) != 0)
            result = -EBADF;
    if (result >= 0)
        result = write_sets(fds, count, end, read, write, rare);
    if (fds != few)
        free(fds);
    return result;
}

EXPORT int pselect(int end, fd_set *read, fd_set *write, fd_set *rare, const struct timespec *time, const sigset_t *mask)
{
    bool wrong = time != NULL && (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= SECOND);
    if (wrong || !selects_us(end, read, write, rare, ns_of(time) != 0))
        return LIBC->pselect(end, read, write, rare, time, mask);
    int result = select_all(end, read, write, rare, deadline_of(ns_of(time)), mask);
    return result >= 0 ? result : fail(result);
}

EXPORT int select(int end, fd_set *read, fd_set *write, fd_set *rare, struct timeval *time)
{
    bool wrong = time != NULL && (time->tv_sec < 0 || time->tv_usec < 0);
    int64_t ns = time == NULL || time->tv_sec >= 1000000000 ? -1 : (int64_t)time->tv_sec * SECOND + time->tv_usec * 1000LL;
    if (wrong || !selects_us(end, read, write, rare, ns != 0))
        return LIBC->select(end, read, write, rare, time);
    int64_t deadline = deadline_of(ns);
    int result = select_all(end, read, write, rare, deadline, NULL);
    if (ns > 0 && result != -EBADF) { /* Linux says how much is left, also after a signal */
        int64_t left = deadline - clock_now();
        left = left < 0 ? 0 : left;
        time->tv_sec = left / SECOND;
        time->tv_usec = left % SECOND / 1000;
    }
    return result >= 0 ? result : fail(result);
}
