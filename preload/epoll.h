/*
 * What epoll.c and epoll_wait.c share.
 */
#ifndef PRELOAD_EPOLL_H
#define PRELOAD_EPOLL_H

#include "preload.h"

struct watch {
    struct watch *next;          /* of the same socket */
    struct watch *beside;        /* in the same set */
    struct watch *before;        /* in the same set; NULL: the first */
    struct set *set;
    struct description *target;
    int fd;                      /* the number that it was added with */
    uint32_t events;
    uint64_t word;
    bool kernel, engine;         /* which of the two sets has it */
};

struct set {
    struct watch *watched_by; /* the sets that this one is in */
    struct watch *first;
    struct description *description;
    int kernel;        /* members of the kernel's set, at most: it forgets those that were closed */
    unsigned turns;    /* looks at both with room for one event */
    int calls;         /* since the kernel's set was looked at */
    int64_t looked;    /* when that was */
    unsigned forks;    /* fork_count when its listeners were last looked at */
    int in_kernel;     /* threads that wait in the kernel alone */
    int alarm;         /* eventfd in the kernel's set that tells these to come out; -1 */
};

static inline uint64_t alarm_word(struct set *set)
{
    return (uint64_t)(uintptr_t)&set->alarm; /* no program has this address */
}

static inline struct description *set_at(int fd)
{
    struct description *found = description_of(fd);
    return LIKELY(found != NULL) && found->path == PATH_EPOLL ? found : NULL;
}

#endif
