/*
 * The calls by which sockets come, get addresses and connections, and go.
 */
#include "preload.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>

/* --- socket ------------------------------------------------------------------------------------------------------ */

/* What getsockopt(SO_PROTOCOL) would say, when it is a kind that the engine has; else 0. */
static int protocol_of(int domain, int type, int protocol)
{
    if (type == SOCK_STREAM)
        return protocol == 0 || protocol == IPPROTO_TCP ? IPPROTO_TCP : 0;
    if (type != SOCK_DGRAM)
        return 0;
    if (protocol == 0 || protocol == IPPROTO_UDP)
        return IPPROTO_UDP;
    return protocol == (domain == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6) ? protocol : 0;
}

EXPORT int socket(int domain, int type, int protocol)
{
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), known = protocol_of(domain, kind, protocol);
    if (!process.enabled || (domain != AF_INET && domain != AF_INET6) || known == 0 || !lock())
        return LIBC->socket(domain, type, protocol);
    int place = -1, fd = -1;
    bool spare = known == IPPROTO_TCP && (fd = spare_take(domain, (type & SOCK_CLOEXEC) != 0, &place)) >= 0;
    if (!spare)
        fd = LIBC->socket(domain, type, protocol);
    struct description *made = fd >= 0 ? description_new(fd, PATH_UNDECIDED) : NULL;
    if (made != NULL) {
        made->spare = spare ? (uint8_t)(place + 1) : 0;
        made->family = (uint8_t)domain;
        made->type = (uint8_t)kind;
        made->protocol = known;
        made->flags = O_RDWR | ((type & SOCK_NONBLOCK) != 0 ? O_NONBLOCK : 0);
    } else if (fd >= 0) {
        report("numbers", "descriptor %d is beyond our table: the socket is the kernel's", fd);
    }
    int error = errno;
    unlock();
    errno = error;
    return fd;
}

/* --- bind, listen ------------------------------------------------------------------------------------------------ */

/* The same port of the wildcard address on both stacks. 0, or minus an errno. */
static int bind_both(int fd, struct description *description, const struct sockaddr *address, socklen_t octets,
                     struct pronghorn_address *own)
{
    struct sockaddr_storage whole;
    memset(&whole, 0, sizeof whole);
    memcpy(&whole, address, octets < sizeof whole ? octets : sizeof whole);
    for (int tries = 0; own->port == 0 && tries < 16; tries++) {
        struct pronghorn_address made;
        int result = (int)pronghorn_bind(process.worker, description->handle, own);
        if (result != 0 || (result = (int)pronghorn_socket_name(process.worker, description->handle, &made)) != 0)
            return result;
        ((struct sockaddr_in *)&whole)->sin_port = htons(made.port); /* sin6_port lies there too */
        if (LIBC->bind(fd, (struct sockaddr *)&whole, octets) == 0)
            return 0;
        if (errno != EADDRINUSE)
            return -errno;
        close_ours(description);
        if ((result = open_ours(description)) != 0)
            return result;
    }
    if (own->port == 0)
        return -EADDRINUSE;
    if (LIBC->bind(fd, address, octets) != 0)
        return -errno;
    return (int)pronghorn_bind(process.worker, description->handle, own);
}

/* Lock held; 0, or minus an errno. */
static int bind_undecided(int fd, struct description *description, const struct sockaddr *address, socklen_t octets)
{
    struct pronghorn_address own;
    int result = address_in(description, address, octets, &own);
    const char *why = result != 0 ? "address" : path_of(description, &own, true);
    spare_settle(description);
    description->touched = true;
    if (why == NULL && open_ours(description) != 0)
        why = "no room in the engine";
    if (why != NULL) {
        if (LIBC->bind(fd, address, octets) != 0)
            return -errno; /* nothing is decided yet */
        description->fixed = true;
        return fall_back(description, why, EADDRNOTAVAIL);
    }
    bool both = is_any(&own);
    result = both ? bind_both(fd, description, address, octets, &own)
                  : (int)pronghorn_bind(process.worker, description->handle, &own);
    if (result == 0 && description->type == SOCK_DGRAM)
        result = claim_name(description, PRONGHORN_CLAIM_BIND);
    if (result != 0) {
        close_ours(description);
        return result;
    }
    if (both && description->type == SOCK_DGRAM)
        LIBC->fcntl(fd, F_SETFL, description->flags | O_NONBLOCK);
    description->fixed = true;
    decide(description, both ? PATH_BOTH : PATH_OURS, NULL);
    return 0;
}

EXPORT int bind(int fd, const struct sockaddr *address, socklen_t octets)
{
    struct description *description = description_of(fd);
    if (description == NULL || description->path == PATH_KERNEL || description->path == PATH_EPOLL || address == NULL)
        return LIBC->bind(fd, address, octets);
    int result = lock_on(fd, description);
    if (result != 0)
        return fail(result);
    result = -EINVAL;
    if (description->path == PATH_UNDECIDED) {
        result = bind_undecided(fd, description, address, octets);
    } else if (description->path >= PATH_OURS) {
        struct pronghorn_address own;
        result = address_in(description, address, octets, &own);
        if (result == 0)
            result = (int)pronghorn_bind(process.worker, description->handle, &own);
    }
    unlock();
    return result == 0 ? 0 : fail(result);
}

static int listen_ours(int fd, struct description *description, int backlog)
{
    if (description->path == PATH_BOTH) {
        if (LIBC->listen(fd, backlog) != 0)
            return -errno;
        LIBC->fcntl(fd, F_SETFL, description->flags | O_NONBLOCK);
    }
    int result = (int)pronghorn_listen(process.worker, description->handle, backlog);
    if (result == 0)
        result = claim_name(description, PRONGHORN_CLAIM_LISTEN);
    if (result == 0) {
        description->listening = true;
        description->backlog = backlog;
        register_update(description, NULL);
    }
    return result;
}

EXPORT int listen(int fd, int backlog)
{
    struct description *description = description_of(fd);
    if (description == NULL || (description->path < PATH_OURS && description->path != PATH_UNDECIDED))
        return LIBC->listen(fd, backlog);
    int result = lock_on(fd, description);
    if (result != 0)
        return fail(result);
    if (description->path == PATH_UNDECIDED && description->type == SOCK_STREAM) {
        struct sockaddr_storage any = {.ss_family = description->family};
        socklen_t octets = description->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        result = bind_undecided(fd, description, (struct sockaddr *)&any, octets);
    }
    if (result == 0 && description->path >= PATH_OURS)
        result = listen_ours(fd, description, backlog);
    else if (result == 0 && LIBC->listen(fd, backlog) != 0)
        result = -errno;
    unlock();
    return result == 0 ? 0 : fail(result);
}

/* --- accept ------------------------------------------------------------------------------------------------------ */

static int placeholder = -1; /* an unconnected kernel socket, whose duplicates are the numbers of accepted ones */

static int new_number(bool on_exec)
{
    if (placeholder < 0 || description_of(placeholder) == NULL) {
        placeholder = LIBC->socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (placeholder < 0)
            return -errno;
        placeholder = hide(placeholder);
    }
    int fd = LIBC->fcntl(placeholder, on_exec ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
    return fd < 0 ? -errno : fd;
}

/* The number `fd` means the engine's connection from now on. */
static int number_connection(struct description *listener, int64_t handle, int fd, int flags)
{
    struct description *made = description_new(fd, PATH_OURS);
    if (made == NULL) {
        pronghorn_close_socket(process.worker, handle);
        LIBC->close(fd);
        return -EMFILE;
    }
    made->family = listener->family;
    made->type = SOCK_STREAM;
    made->protocol = IPPROTO_TCP;
    made->flags = O_RDWR | ((flags & SOCK_NONBLOCK) != 0 ? O_NONBLOCK : 0);
    made->receive_timeout = listener->receive_timeout;
    made->send_timeout = listener->send_timeout;
    made->connected = made->placeholder = true;
    made->handle = handle;
    register_update(made, NULL);
    return fd;
}

/* The engine's next connection. -EAGAIN: there is none. One for which there is no number stays, as on Linux. */
static int accept_now(struct description *listener, struct sockaddr *address, socklen_t *room, int flags)
{
    struct pronghorn_address peer;
    if ((description_events(listener) & EPOLLIN) == 0)
        return -EAGAIN;
    int fd = new_number((flags & SOCK_CLOEXEC) != 0);
    if (fd < 0)
        return fd;
    int64_t handle = pronghorn_accept(process.worker, listener->handle, &peer);
    if (handle < 0) {
        LIBC->close(fd);
        return (int)handle;
    }
    fd = number_connection(listener, handle, fd, flags);
    if (fd >= 0)
        address_out(listener, &peer, address, room);
    return fd;
}

/* One that the kernel accepted: a record of it, for `pronghorn sockets`. */
static void note_kernels(struct description *listener, int fd)
{
    struct description *made = description_new(fd, PATH_KERNEL);
    if (made == NULL)
        return;
    made->family = listener->family;
    made->type = SOCK_STREAM;
    made->protocol = IPPROTO_TCP;
    made->connected = true;
    register_update(made, "accepted from the kernel");
}

static int accept_ours(struct description *listener, struct sockaddr *address, socklen_t *room, int flags)
{
    if (!listener->listening)
        return listener->type == SOCK_STREAM ? -EINVAL : -EOPNOTSUPP;
    for (bool again = false;; again = true) {
        int fd = accept_now(listener, address, room, flags);
        if (fd != -EAGAIN)
            return fd;
        if (listener->path == PATH_BOTH && listener->fd >= 0) {
            fd = LIBC->accept4(listener->fd, address, room, flags);
            if (fd >= 0) {
                note_kernels(listener, fd);
                return fd;
            }
            if (errno != EAGAIN)
                return -errno;
        }
        if ((listener->flags & O_NONBLOCK) != 0) {
            if (!again && turn_late())
                continue;
            return -EAGAIN;
        }
        int result = wait_for_events(listener, EPOLLIN, POLLIN, listener->receive_timeout);
        if (result != 0)
            return result;
    }
}

EXPORT int accept4(int fd, struct sockaddr *address, socklen_t *room, int flags)
{
    struct description *listener = ours(fd);
    if (listener == NULL)
        return LIBC->accept4(fd, address, room, flags);
    if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0)
        return fail(-EINVAL);
    int result = lock_on(fd, listener);
    if (result != 0)
        return fail(result);
    if (UNLIKELY(fork_count != 0))
        fork_take_part(listener);
    description_use(listener);
    result = accept_ours(listener, address, room, flags);
    description_done(listener);
    unlock();
    return result >= 0 ? result : fail(result);
}

EXPORT int accept(int fd, struct sockaddr *address, socklen_t *room)
{
    return ours(fd) == NULL ? LIBC->accept(fd, address, room) : accept4(fd, address, room, 0);
}

/* --- connect ----------------------------------------------------------------------------------------------------- */

/* Wait for the end of a handshake that has begun. */
static int finish_connecting(struct description *description, const struct pronghorn_address *to)
{
    int result = wait_for_events(description, EPOLLOUT, 0, description->send_timeout);
    if (result == -EAGAIN)
        return -EINPROGRESS; /* as Linux says it when SO_SNDTIMEO is over */
    if (result != 0)
        return result;
    struct pronghorn_address again = *to;
    result = (int)pronghorn_connect(process.worker, description->handle, &again);
    return result == -EISCONN ? 0 : result;
}

static int connect_ours(struct description *description, struct pronghorn_address *to)
{
    await_link();
    bool stream = description->type == SOCK_STREAM;
    int result = (int)pronghorn_connect(process.worker, description->handle, to);
    if (stream && (result == -EINPROGRESS || result == 0))
        turn_after(description);
    if (stream && (description->flags & O_NONBLOCK) == 0 && (result == -EINPROGRESS || result == -EALREADY))
        result = finish_connecting(description, to);
    if (result == 0 || result == -EINPROGRESS)
        description->connected = true;
    register_update(description, NULL);
    return result;
}

/* AF_UNSPEC: a datagram socket has no other side any more. */
static int disconnect(int fd, struct description *description, const struct sockaddr *address, socklen_t octets)
{
    struct pronghorn_address none = {0};
    if (description->path < PATH_OURS)
        return LIBC->connect(fd, address, octets) == 0 ? 0 : -errno;
    int result = (int)pronghorn_connect(process.worker, description->handle, &none);
    description->connected = false;
    return result;
}

static int connect_decided(int fd, struct description *description, const struct sockaddr *address, socklen_t octets)
{
    struct pronghorn_address to;
    bool stream = description->type == SOCK_STREAM, begun = stream && description->connected;
    if (octets >= sizeof address->sa_family && address->sa_family == AF_UNSPEC)
        return disconnect(fd, description, address, octets);
    int result = address_in(description, address, octets, &to);
    if (description->path >= PATH_OURS && (begun || description->listening))
        return result != 0 ? result : connect_ours(description, &to);
    const char *why = result != 0 ? "address" : path_of(description, &to, false);
    if (why == NULL && open_ours(description) != 0)
        why = "no room in the engine";
    if (why == NULL && description->claimed == 0 && stream && description->path >= PATH_OURS)
        result = claim_name(description, PRONGHORN_CLAIM_BIND); /* bound, and not out of the block of ports */
    if (why == NULL && result == 0) {
        decide(description, PATH_OURS, NULL);
        return connect_ours(description, &to);
    }
    if (result != 0 && why == NULL)
        return result;
    if (description->handle >= 0 && stream)
        close_ours(description);
    if ((result = fall_back(description, why, ENETUNREACH)) != 0)
        return result;
    return 1; /* libc's, without the lock */
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t octets)
{
    struct description *description = description_of(fd);
    if (description == NULL || address == NULL || description->path == PATH_EPOLL ||
        (description->path == PATH_KERNEL && description->type == SOCK_STREAM))
        return LIBC->connect(fd, address, octets);
    if (description->path == PATH_HIDDEN)
        return fail(-EBADF);
    int result = lock_on(fd, description);
    if (result != 0)
        return fail(result);
    description_use(description);
    result = connect_decided(fd, description, address, octets);
    description_done(description);
    unlock();
    if (result == 1)
        return LIBC->connect(fd, address, octets);
    return result == 0 ? 0 : fail(result);
}
