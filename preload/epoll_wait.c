/*
 * Waiting for an epoll set: what is the engine's and what is the kernel's, in turns (epoll.c says what a set is).
 */
#include "epoll.h"

#include <limits.h>

#define CALLS_BETWEEN 16      /* calls that found something of ours, until the kernel's set is looked at */
#define NS_BETWEEN 50000      /* and the time */
#define MOST_EVENTS (INT_MAX / (int)sizeof(struct epoll_event))

/* A set is waited on, and the process has forked or was forked: inherited listeners are opened again; those that it has
 * opened itself are served by it too. */
static void look_at_members(struct set *set)
{
    set->forks = fork_count;
    for (struct watch *watch = set->first, *following; watch != NULL; watch = following) {
        struct description *target = watch->target;
        following = watch->beside;
        if (target->foreign && (target->listening || (target->legacy != NULL && target->claimed != 0)))
            fork_adopt(target);
        else if (target->listening && !target->foreign)
            fork_take_part(target);
    }
}

/* --- waiting ----------------------------------------------------------------------------------------------------- */

static bool is_pending(void *context)
{
    struct description *description = context;
    return description->references == 0 ||
           (description->handle >= 0 && pronghorn_epoll_pending(process.worker, description->handle) == 1);
}

static int from_kernel(struct set *set, struct epoll_event *events, int room)
{
    set->calls = 0;
    set->looked = (int64_t)process.worker->now;
    int count = LIBC->epoll_wait(set->description->fd, events, room, 0);
    return count < 0 ? 0 : count;
}

enum look { LOOK_NOW, LOOK_LATER, LOOK_IN_TIME };

/* What there is now, ours and the kernel's. LOOK_NOW: of both in any case; LOOK_IN_TIME: of the kernel's every so often,
 * and when there is nothing of ours; LOOK_LATER: every so often, as the caller is about to wait for both. */
static int collect(struct set *set, struct epoll_event *events, int room, enum look when)
{
    struct description *description = set->description;
    int count = 0;
    bool look = set->kernel > 0 && (when == LOOK_NOW || ++set->calls >= CALLS_BETWEEN ||
                                    (int64_t)process.worker->now - set->looked >= NS_BETWEEN);
    if (look && (room > 1 || (set->turns++ & 1) != 0)) /* each has half of the room, or every other look at a room of one */
        count = from_kernel(set, events, room - room / 2);
    if (description->handle >= 0) {
        int64_t found = pronghorn_epoll_collect(process.worker, description->handle, (int64_t)(uintptr_t)(events + count),
                                                room - count, sizeof *events);
        count += found > 0 ? (int)found : 0;
    }
    if (set->kernel > 0 && count == 0 && when != LOOK_LATER && !look)
        count = from_kernel(set, events, room);
    return count;
}

/* Lock held; events, or minus an errno. */
static int wait_on(struct set *set, struct epoll_event *events, int room, int64_t ns, const sigset_t *mask)
{
    struct description *description = set->description;
    int64_t deadline = ns < 0 ? FOREVER : ns == 0 ? 0 : clock_now() + ns;
    wait_until(is_pending, description, 0, NULL, 0, NULL);
    int count = collect(set, events, room, deadline == 0 ? LOOK_IN_TIME : LOOK_LATER);
    while (count == 0 && deadline != 0) {
        struct pollfd kernel = {.fd = description->fd, .events = POLLIN};
        if (description->handle >= 0)
            pronghorn_epoll_sleepers(process.worker, description->handle, 1);
        int result = wait_until(is_pending, description, deadline, &kernel, 1, mask);
        if (description->references == 0)
            return -EBADF;
        if (description->handle >= 0)
            pronghorn_epoll_sleepers(process.worker, description->handle, -1);
        count = collect(set, events, room, result == 1 ? LOOK_IN_TIME : LOOK_NOW);
        if (count == 0 && result <= 0)
            return result;
    }
    return count;
}

/* In the kernel alone, as there is no engine. -EAGAIN: now there is one. */
static int wait_in_kernel(struct set *set, struct epoll_event *events, int room, const struct timespec *time,
                          const sigset_t *mask)
{
    int fd = set->description->fd, ms = -1, result = -1;
    set->in_kernel++;
    unlock();
    errno = ENOSYS;
    if (LIBC->epoll_pwait2 != NULL)
        result = LIBC->epoll_pwait2(fd, events, room, time, mask);
    if (result < 0 && errno == ENOSYS) {
        if (time != NULL) {
            int64_t exact = (int64_t)time->tv_sec * 1000 + (time->tv_nsec + 999999) / 1000000;
            ms = exact > INT_MAX ? INT_MAX : (int)exact;
        }
        result = LIBC->epoll_pwait(fd, events, room, ms, mask);
    }
    if (result < 0)
        result = -errno;
    lock();
    set->in_kernel--;
    if (set->alarm < 0)
        return result;
    int kept = 0;
    for (int place = 0; place < result; place++)
        if (events[place].data.u64 != alarm_word(set))
            events[kept++] = events[place];
    if (set->in_kernel == 0) {
        LIBC->epoll_ctl(fd, EPOLL_CTL_DEL, set->alarm, NULL);
        unhide_close(set->alarm);
        set->alarm = -1;
    }
    return kept > 0 || result <= 0 ? (kept > 0 ? kept : result) : -EAGAIN;
}

static int wait_for(int epoll, struct epoll_event *events, int room, const struct timespec *time, const sigset_t *mask)
{
    struct description *description = set_at(epoll);
    int64_t ns = time == NULL ? -1 : time->tv_sec >= 1000000000 ? -1 : (int64_t)time->tv_sec * SECOND + time->tv_nsec;
    int64_t end = ns > 0 ? clock_now() + ns : 0;
    int result;
    if (!lock())
        return -EINTR;
    if (descriptions[epoll] != description) {
        unlock();
        return -EBADF;
    }
    struct set *set = description->epoll;
    if (UNLIKELY(set->forks != fork_count))
        look_at_members(set);
    if (UNLIKELY(shelves != 0))
        shelves_look();
    description_use(description);
    do {
        if (end != 0 && (ns = end - clock_now()) < 0)
            ns = 0;
        if (process.worker != NULL) {
            result = wait_on(set, events, room, ns, mask);
        } else {
            struct timespec left = {.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
            result = wait_in_kernel(set, events, room, ns < 0 ? NULL : &left, mask);
        }
    } while (result == -EAGAIN);
    description_done(description);
    unlock();
    return result;
}

EXPORT int epoll_pwait(int epoll, struct epoll_event *events, int room, int timeout, const sigset_t *mask)
{
    if (set_at(epoll) == NULL || room <= 0 || room > MOST_EVENTS || events == NULL)
        return LIBC->epoll_pwait(epoll, events, room, timeout, mask);
    struct timespec time = {.tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1000000L};
    int result = wait_for(epoll, events, room, timeout < 0 ? NULL : &time, mask);
    return result >= 0 ? result : fail(result);
}

EXPORT int epoll_wait(int epoll, struct epoll_event *events, int room, int timeout)
{
    return epoll_pwait(epoll, events, room, timeout, NULL);
}

EXPORT int epoll_pwait2(int epoll, struct epoll_event *events, int room, const struct timespec *time,
                        const sigset_t *mask)
{
    bool wrong = time != NULL && (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= SECOND);
    if (set_at(epoll) == NULL || room <= 0 || room > MOST_EVENTS || events == NULL || wrong) {
        if (LIBC->epoll_pwait2 == NULL)
            return fail(-ENOSYS);
        return LIBC->epoll_pwait2(epoll, events, room, time, mask);
    }
    int result = wait_for(epoll, events, room, time, mask);
    return result >= 0 ? result : fail(result);
}
