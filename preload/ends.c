/*
 * The calls by which sockets end, and those that ask for their names.
 */
#include "preload.h"

EXPORT int shutdown(int fd, int how)
{
    struct description *description = ours(fd);
    if (description == NULL) {
        if ((description = description_of(fd)) != NULL)
            description->touched = true;
        return LIBC->shutdown(fd, how);
    }
    int result = lock_on(fd, description);
    if (result != 0)
        return fail(result);
    if (description->path == PATH_BOTH)
        LIBC->shutdown(fd, how);
    result = (int)pronghorn_shutdown(process.worker, description->handle, how);
    turn_after(description);
    unlock();
    return result == 0 ? 0 : fail(result);
}

EXPORT int close(int fd)
{
    struct description *description = description_of(fd);
    if (LIKELY(description == NULL))
        return LIBC->close(fd);
    if (description->path == PATH_HIDDEN)
        return fail(-EBADF);
    int result = lock_number(fd, description);
    if (result != 0)
        return fail(result);
    spare_keep(fd, description);
    description_drop(fd);
    unlock();
    return LIBC->close(fd);
}

static int tell_name(int fd, struct description *description, struct sockaddr *address, socklen_t *room,
                     int64_t (*name)(struct pronghorn_worker *, int64_t, struct pronghorn_address *))
{
    struct pronghorn_address found;
    int64_t result = lock_on(fd, description);
    if (result != 0)
        return fail(result);
    result = name(process.worker, description->handle, &found);
    unlock();
    if (result != 0)
        return fail(result);
    address_out(description, &found, address, room);
    return 0;
}

EXPORT int getsockname(int fd, struct sockaddr *address, socklen_t *room)
{
    struct description *description = ours(fd);
    if (description == NULL)
        return LIBC->getsockname(fd, address, room);
    return tell_name(fd, description, address, room, pronghorn_socket_name);
}

EXPORT int getpeername(int fd, struct sockaddr *address, socklen_t *room)
{
    struct description *description = ours(fd);
    if (description == NULL)
        return LIBC->getpeername(fd, address, room);
    return tell_name(fd, description, address, room, pronghorn_peer_name);
}
