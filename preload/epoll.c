/*
 * epoll. A set is a kernel's set behind its number and, once the first socket of ours is in it, an engine's set besides
 * (engine/interests.py): what is the kernel's goes to the one, what is ours to the other, what is both to both with the same
 * data word. Whoever waits collects from the engine's, and looks at the kernel's every so often, so that neither starves;
 * the number itself is what one sleeps on, for it is readable when the kernel's set is.
 *
 * A watch is one socket, or set, in one set, by the number that it was added with. It is remembered, as a socket may become
 * ours when it is in a set already, and since a forked child has to make the engine's sets anew.
 *
 * Left out: two numbers of one socket of ours in the same set (EEXIST); EPOLLONESHOT of a socket that both have may report
 * once from each.
 */
#include "epoll.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct watch **watches_of(struct description *target)
{
    if (target->path == PATH_EPOLL)
        return &((struct set *)target->epoll)->watched_by;
    return (struct watch **)&target->epoll;
}

/* --- sets -------------------------------------------------------------------------------------------------------- */

static int remember(int fd)
{
    if (fd < 0 || !process.enabled)
        return fd;
    struct set *set = calloc(1, sizeof *set);
    if (set == NULL || !lock()) {
        free(set);
        return fd;
    }
    struct description *made = description_new(fd, PATH_EPOLL);
    if (made != NULL) {
        made->epoll = set;
        set->description = made;
        set->alarm = -1;
        set->forks = fork_count;
    } else {
        free(set);
    }
    unlock();
    return fd;
}

EXPORT int epoll_create1(int flags)
{
    return remember(LIBC->epoll_create1(flags));
}

EXPORT int epoll_create(int size)
{
    return remember(LIBC->epoll_create(size));
}

static int to_engine(struct watch *watch, int operation)
{
    return (int)pronghorn_epoll_control(process.worker, watch->set->description->handle, operation,
                                        watch->target->handle, watch->events, (int64_t)watch->word);
}

static int to_kernel(struct watch *watch, int operation)
{
    struct epoll_event event = {.events = watch->events, .data.u64 = watch->word};
    return LIBC->epoll_ctl(watch->set->description->fd, operation, watch->fd, &event) == 0 ? 0 : -errno;
}

/* Threads that wait in the kernel alone are to come out: there is an engine's set now. */
static void sound_alarm(struct set *set)
{
    if (set->in_kernel == 0 || set->alarm >= 0)
        return;
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return;
    set->alarm = hide(fd);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = alarm_word(set)};
    LIBC->epoll_ctl(set->description->fd, EPOLL_CTL_ADD, set->alarm, &event);
}

/* The engine's set, made when there is none; the sets that this one is in get it too. 0, or minus an errno. */
static int open_set(struct set *set)
{
    if (set->description->handle >= 0)
        return 0;
    int64_t handle = pronghorn_epoll_open(process.worker);
    if (handle < 0)
        return (int)handle;
    set->description->handle = handle;
    sound_alarm(set);
    for (struct watch *watch = set->watched_by; watch != NULL; watch = watch->next)
        if (!watch->engine && open_set(watch->set) == 0)
            watch->engine = to_engine(watch, EPOLL_CTL_ADD) == 0;
    return 0;
}

/* --- watches ----------------------------------------------------------------------------------------------------- */

static bool is_engines(const struct description *target)
{
    return target->handle >= 0 && (target->path >= PATH_OURS || target->path == PATH_EPOLL);
}

static struct watch *find(struct set *set, struct description *target, int fd)
{
    struct watch *watch = *watches_of(target);
    while (watch != NULL && (watch->set != set || watch->fd != fd))
        watch = watch->next;
    return watch;
}

static void unlink_watch(struct watch *watch)
{
    struct watch **place = watches_of(watch->target);
    while (*place != watch)
        place = &(*place)->next;
    *place = watch->next;
    if (watch->before != NULL)
        watch->before->beside = watch->beside;
    else
        watch->set->first = watch->beside;
    if (watch->beside != NULL)
        watch->beside->before = watch->before;
    if (watch->kernel && watch->set->kernel > 0)
        watch->set->kernel--;
    free(watch);
}

/* Put the watch where its socket's path belongs. 0, or minus an errno. */
static int place(struct watch *watch)
{
    bool kernel = watch->target->path != PATH_OURS, engine = is_engines(watch->target);
    int result;
    if (kernel && !watch->kernel) {
        if ((result = to_kernel(watch, EPOLL_CTL_ADD)) != 0)
            return result;
        watch->kernel = true;
        watch->set->kernel++;
    }
    if (engine && !watch->engine) {
        if ((result = open_set(watch->set)) != 0 || (result = to_engine(watch, EPOLL_CTL_ADD)) != 0)
            return result;
        watch->engine = true;
    }
    if (!kernel && watch->kernel) {
        to_kernel(watch, EPOLL_CTL_DEL);
        watch->kernel = false;
        if (watch->set->kernel > 0)
            watch->set->kernel--;
    }
    return 0;
}

static void take_out(struct watch *watch)
{
    if (watch->kernel)
        to_kernel(watch, EPOLL_CTL_DEL);
    if (watch->engine && process.worker != NULL && is_engines(watch->target))
        to_engine(watch, EPOLL_CTL_DEL);
    unlink_watch(watch);
}

static int add(struct set *set, int fd, struct description *target, const struct epoll_event *event)
{
    if (find(set, target, fd) != NULL)
        return -EEXIST;
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return -ENOMEM;
    struct watch **head = watches_of(target);
    watch->set = set;
    watch->target = target;
    watch->fd = fd;
    watch->events = event->events;
    watch->word = event->data.u64;
    watch->next = *head;
    *head = watch;
    watch->beside = set->first;
    if (set->first != NULL)
        set->first->before = watch;
    set->first = watch;
    if (UNLIKELY(target->foreign || (fork_count != 0 && target->listening)))
        set->forks = fork_count - 1;
    int result = place(watch);
    if (result != 0)
        take_out(watch);
    return result;
}

static int change(struct watch *watch, const struct epoll_event *event)
{
    struct watch before = *watch;
    int result = 0;
    watch->events = event->events;
    watch->word = event->data.u64;
    if (watch->kernel)
        result = to_kernel(watch, EPOLL_CTL_MOD);
    if (result == 0 && watch->engine)
        result = to_engine(watch, EPOLL_CTL_MOD);
    if (result != 0) {
        watch->events = before.events;
        watch->word = before.word;
    }
    return result;
}

/* A descriptor that we know. Lock held; 0, or minus an errno. */
static int control(struct set *set, int operation, int fd, struct description *target, const struct epoll_event *event)
{
    if (target->path == PATH_HIDDEN)
        return -EBADF;
    if (event == NULL && operation != EPOLL_CTL_DEL)
        return -EFAULT;
    if (operation == EPOLL_CTL_ADD)
        return add(set, fd, target, event);
    struct watch *watch = find(set, target, fd);
    if (operation != EPOLL_CTL_MOD && operation != EPOLL_CTL_DEL)
        return -EINVAL;
    if (watch == NULL)
        return -ENOENT;
    if (operation == EPOLL_CTL_MOD)
        return change(watch, event);
    take_out(watch);
    return 0;
}

EXPORT int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    struct description *description = set_at(epoll), *target = description_of(fd);
    if (description == NULL) {
        if (target != NULL && (target->path == PATH_OURS || target->path == PATH_HIDDEN))
            return fail(fcntl(epoll, F_GETFD) < 0 || target->path == PATH_HIDDEN ? -EBADF : -EINVAL);
        return LIBC->epoll_ctl(epoll, operation, fd, event);
    }
    int result = target != NULL ? lock_number(fd, target) : lock() ? 0 : -EAGAIN;
    if (result == 0 && target != NULL && target->foreign && !target->listening && operation != EPOLL_CTL_DEL &&
        (result = fork_adopt(target)) != 0) /* listeners are opened again by whoever waits for them */
        unlock();
    if (result != 0)
        return fail(result);
    if (descriptions[epoll] != description) {
        unlock();
        return fail(-EBADF);
    }
    struct set *set = description->epoll;
    if (target != NULL) {
        result = control(set, operation, fd, target, event);
    } else if (LIBC->epoll_ctl(epoll, operation, fd, event) != 0) {
        result = -errno;
    } else if (operation == EPOLL_CTL_ADD) {
        set->kernel++;
    } else if (operation == EPOLL_CTL_DEL && set->kernel > 0) {
        set->kernel--;
    }
    unlock();
    return result == 0 ? 0 : fail(result);
}

void epoll_decided(struct description *description)
{
    if (description->path == PATH_EPOLL)
        return;
    for (struct watch *watch = *watches_of(description); watch != NULL; watch = watch->next)
        if (place(watch) != 0)
            report("epoll", "a socket that is ours now could not be put into the engine's epoll set");
}

void epoll_gone(struct description *description)
{
    if (description->epoll == NULL)
        return;
    for (struct watch *watch; (watch = *watches_of(description)) != NULL;) {
        if (watch->engine && process.worker != NULL && is_engines(watch->target))
            to_engine(watch, EPOLL_CTL_DEL); /* from the kernel's set it goes when its number is closed */
        unlink_watch(watch);
    }
    if (description->path != PATH_EPOLL)
        return;
    struct set *set = description->epoll;
    while (set->first != NULL)
        unlink_watch(set->first);
    if (description->handle >= 0 && process.worker != NULL)
        pronghorn_epoll_close(process.worker, description->handle);
    description->handle = -1;
    if (set->alarm >= 0)
        unhide_close(set->alarm);
    description->epoll = NULL;
    free(set);
}

/* In a forked child: the engine's sets are gone; which sockets were in them is known. */
void epoll_forked(struct description *description)
{
    if (description->path != PATH_EPOLL)
        return;
    struct set *set = description->epoll;
    description->handle = -1;
    set->in_kernel = 0;
    for (struct watch *watch = set->first; watch != NULL; watch = watch->beside)
        watch->engine = false;
}
