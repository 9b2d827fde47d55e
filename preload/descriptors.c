/*
 * Which numbers are ours. Every open file description that we know has one record, which all its numbers point to. The
 * table is a piece of zero memory: a page of it exists once a number in it was used.
 */
#include "preload.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct description *descriptions[DESCRIPTORS];

static int highest = -1; /* number that was ever in the table: how far a walk has to go */
static struct description hidden = {.path = PATH_HIDDEN, .fd = -1, .record = -1, .handle = -1};

static void enter(int fd, struct description *description)
{
    descriptions[fd] = description;
    if (fd > highest)
        highest = fd;
}

struct description *description_new(int fd, enum path path)
{
    if ((unsigned)fd >= DESCRIPTORS)
        return NULL;
    struct description *made = calloc(1, sizeof *made);
    if (made == NULL)
        return NULL;
    if (descriptions[fd] != NULL) /* closed behind our back, by a raw system call */
        description_drop(fd);
    made->path = path;
    made->references = 1;
    made->fd = fd;
    made->record = -1;
    made->handle = -1;
    enter(fd, made);
    return made;
}

bool description_share(struct description *description, int fd)
{
    if ((unsigned)fd >= DESCRIPTORS)
        return false;
    if (descriptions[fd] != NULL)
        description_drop(fd);
    description->references++;
    enter(fd, description);
    return true;
}

/* Another number that means it, once `fd` does not. */
static int other_number(struct description *description)
{
    for (int fd = 0; fd <= highest; fd++)
        if (descriptions[fd] == description)
            return fd;
    return -1;
}

static void finish(struct description *description)
{
    forget_options(description);
    shelf_free(description);
    if (fork_give(description)) {
        free(description);
        return;
    }
    if (description->handle >= 0 && description->path >= PATH_OURS && process.worker != NULL) {
        close_ours(description);
        turn_after(description);
    }
    free(description);
}

void description_drop(int fd)
{
    struct description *description = description_of(fd);
    if (description == NULL || description->path == PATH_HIDDEN)
        return;
    descriptions[fd] = NULL;
    if (--description->references > 0) {
        if (description->fd == fd)
            description->fd = other_number(description);
        return;
    }
    spare_let_go(description);
    epoll_gone(description);
    register_drop(description);
    description->fd = -1;
    if (description->users == 0)
        finish(description);
}

void description_done(struct description *description)
{
    if (--description->users == 0 && description->references == 0)
        finish(description);
}

void descriptions_each(bool (*visit)(struct description *description, void *context), void *context)
{
    for (int fd = 0; fd <= highest; fd++) {
        struct description *description = descriptions[fd];
        if (description != NULL && description != &hidden && description->fd == fd && !visit(description, context))
            return;
    }
}

int descriptions_end(void)
{
    return highest + 1;
}

uint32_t description_events(struct description *description)
{
    if (UNLIKELY(description->lost))
        return EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLERR | EPOLLHUP; /* as of a connection that was reset */
    if (description->handle < 0 || process.worker == NULL)
        return 0;
    if (UNLIKELY(description->shelf != NULL))
        shelf_look(description);
    int64_t events = pronghorn_socket_events(process.worker, description->handle);
    return events < 0 ? 0 : (uint32_t)events;
}

/* Where our own numbers begin: near the top, where programs that count on small ones do not meet them. */
static int high_ground(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 3;
    rlim_t top = limit.rlim_cur < DESCRIPTORS ? limit.rlim_cur : DESCRIPTORS;
    return top > 4096 ? 4000 : top > 256 ? (int)top - 128 : 3;
}

int hide(int fd)
{
    int moved = LIBC->fcntl(fd, F_DUPFD_CLOEXEC, high_ground());
    if (moved >= 0 && moved < DESCRIPTORS) {
        LIBC->close(fd);
        fd = moved;
    }
    enter(fd, &hidden);
    return fd;
}

int hide_copy(int fd)
{
    int ground = high_ground(), copy = ground > 256 ? LIBC->fcntl(fd, F_DUPFD_CLOEXEC, ground) : -1;
    if (copy >= DESCRIPTORS) {
        LIBC->close(copy);
        return -1;
    }
    if (copy >= 0)
        enter(copy, &hidden);
    return copy;
}

void hide_here(int fd)
{
    if ((unsigned)fd < DESCRIPTORS)
        enter(fd, &hidden);
}

void unhide_close(int fd)
{
    if (description_of(fd) != &hidden)
        return;
    descriptions[fd] = NULL;
    LIBC->close(fd);
}
