/*
 * Sending and receiving without a copy, for programs that know of us: src/pronghorn/pronghorn-preload.h says how.
 */
#define PRONGHORN_OPTIONAL __attribute__((visibility("default")))

#include "preload.h"
#include "pronghorn-preload.h"

#include <fcntl.h>

/* The lock, on a stream of ours. 0, or minus an errno. */
static int lock_stream(int fd, struct description **description)
{
    *description = description_of(fd);
    if (*description == NULL)
        return LIBC->fcntl(fd, F_GETFD) < 0 ? -EBADF : -EOPNOTSUPP;
    if ((*description)->path == PATH_UNDECIDED && (*description)->type == SOCK_STREAM)
        return -ENOTCONN;
    if ((*description)->path < PATH_OURS || (*description)->type != SOCK_STREAM)
        return -EOPNOTSUPP;
    return lock_on(fd, *description);
}

static ssize_t said(ssize_t result)
{
    return result >= 0 ? result : fail(result);
}

ssize_t pronghorn_fd_send_buffer(int fd, size_t octets, void **memory)
{
    struct description *description;
    uint64_t room = 0;
    if (memory == NULL)
        return fail(-EFAULT);
    ssize_t result = lock_stream(fd, &description);
    if (result != 0)
        return fail(result);
    int64_t wanted = octets < 0x7FFFF000 ? (int64_t)octets : 0x7FFFF000;
    description_use(description);
    bool wait = (description->flags & O_NONBLOCK) == 0, looked = false;
    while ((result = pronghorn_send_reserve(process.worker, description->handle, wanted, &room)) == -EAGAIN) {
        if (!wait && (looked || !turn_late()))
            break;
        looked = true;
        if (wait && (result = wait_for_events(description, EPOLLOUT, 0, description->send_timeout)) != 0)
            break;
    }
    description_done(description);
    unlock();
    if (result >= 0)
        *memory = (void *)(uintptr_t)room;
    return said(result);
}

ssize_t pronghorn_fd_commit(int fd, size_t octets)
{
    struct description *description;
    ssize_t result = lock_stream(fd, &description);
    if (result != 0)
        return fail(result);
    result = octets > 0x7FFFF000 ? -EINVAL
                                 : pronghorn_send_commit(process.worker, description->handle, (int64_t)octets);
    if (result > 0)
        turn_after(description);
    unlock();
    return said(result);
}

ssize_t pronghorn_fd_receive_view(int fd, const void **memory)
{
    struct description *description;
    uint64_t data = 0;
    if (memory == NULL)
        return fail(-EFAULT);
    ssize_t result = lock_stream(fd, &description);
    if (result != 0)
        return fail(result);
    bool wait = (description->flags & O_NONBLOCK) == 0, looked = false;
    description_use(description);
    while ((result = pronghorn_receive_view(process.worker, description->handle, &data)) == -EAGAIN) {
        if (!wait && (looked || !turn_late()))
            break;
        looked = true;
        if (wait && (result = wait_for_events(description, EPOLLIN | EPOLLRDHUP, 0, description->receive_timeout)) != 0)
            break;
    }
    description_done(description);
    unlock();
    if (result >= 0)
        *memory = (const void *)(uintptr_t)data;
    return said(result);
}

int pronghorn_fd_receive_release(int fd, size_t octets)
{
    struct description *description;
    int result = lock_stream(fd, &description);
    if (result != 0)
        return fail(result);
    result = octets > 0x7FFFF000
                 ? -EINVAL
                 : (int)pronghorn_receive_release(process.worker, description->handle, (int64_t)octets);
    unlock();
    return (int)said(result);
}

int pronghorn_fd_loan_release(const void *memory)
{
    if (!lock())
        return fail(-EAGAIN);
    int result = process.worker == NULL
                     ? -EINVAL
                     : (int)pronghorn_loan_release(process.worker, (int64_t)(uintptr_t)memory);
    unlock();
    return (int)said(result);
}
