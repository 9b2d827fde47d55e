/*
 * read, recv and their kind. The engine never waits; what waits is here.
 */
#include "preload.h"

#include <fcntl.h>
#include <string.h>

#define OWN_FLAGS (MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC | MSG_WAITFORONE)
#define MOST_PARTS 1024 /* UIO_MAXIOV */

static inline bool may_wait(const struct description *description, int flags)
{
    return (description->flags & O_NONBLOCK) == 0 && (flags & MSG_DONTWAIT) == 0;
}

/* --- streams ----------------------------------------------------------------------------------------------------- */

/* MSG_PEEK of everything: whether it is not there yet, and may come. */
static bool peeks_on(struct description *description, const struct iovec *parts, int count, ssize_t there)
{
    for (int place = 0; place < count; place++)
        there -= (ssize_t)parts[place].iov_len;
    return there < 0 && (description_events(description) & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0;
}

/* Nothing has come yet, or not all of it. `parts` may be changed. Lock held. */
static ssize_t receive_later(struct description *description, struct iovec *parts, int count, int flags, ssize_t before)
{
    ssize_t taken = before;
    description_use(description);
    for (;;) {
        ssize_t result = wait_for_events(description, EPOLLIN | EPOLLRDHUP, 0, description->receive_timeout);
        if (result == 0)
            result = pronghorn_receive_vector(process.worker, description->handle, (struct pronghorn_part *)parts, count,
                                              flags & ~OWN_FLAGS, NULL);
        if (result == -EAGAIN && description->receive_timeout == 0)
            continue;
        if (result > 0 && (flags & (MSG_PEEK | MSG_WAITALL)) == (MSG_PEEK | MSG_WAITALL) &&
            peeks_on(description, parts, count, result))
            continue;
        if (result > 0)
            taken += result;
        if (result <= 0 || (flags & MSG_WAITALL) == 0 || (flags & MSG_PEEK) != 0) {
            description_done(description);
            return taken > 0 ? taken : result;
        }
        while (count > 0 && (size_t)result >= parts->iov_len) {
            result -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count == 0) {
            description_done(description);
            return taken;
        }
        parts->iov_base = (char *)parts->iov_base + result;
        parts->iov_len -= (size_t)result;
    }
}

static ssize_t receive_stream(struct description *description, const struct iovec *parts, int count, int flags)
{
    ssize_t taken = pronghorn_receive_vector(process.worker, description->handle, (struct pronghorn_part *)parts, count,
                                             flags & ~OWN_FLAGS, NULL);
    if (taken == -EAGAIN && !may_wait(description, flags) && turn_late())
        taken = pronghorn_receive_vector(process.worker, description->handle, (struct pronghorn_part *)parts, count,
                                         flags & ~OWN_FLAGS, NULL);
    bool more = taken == -EAGAIN || (taken > 0 && UNLIKELY((flags & MSG_WAITALL) != 0));
    if (LIKELY(!more) || !may_wait(description, flags))
        return taken;
    struct iovec rest[MOST_PARTS];
    ssize_t before = taken > 0 && (flags & MSG_PEEK) == 0 ? taken : 0, skip = before;
    int left = 0;
    for (int place = 0; place < count; place++) {
        ssize_t passed = skip < (ssize_t)parts[place].iov_len ? skip : (ssize_t)parts[place].iov_len;
        skip -= passed;
        if (passed < (ssize_t)parts[place].iov_len || parts[place].iov_len == 0)
            rest[left++] = (struct iovec){(char *)parts[place].iov_base + passed, parts[place].iov_len - (size_t)passed};
    }
    if (left == 0)
        return taken;
    return receive_later(description, rest, left, flags, before);
}

/* --- datagrams --------------------------------------------------------------------------------------------------- */

/* One message, with all that is told of it. -EAGAIN: not now. Lock held. */
static ssize_t receive_now(struct description *description, struct msghdr *message, int flags)
{
    struct pronghorn_address from;
    struct pronghorn_message own = {
        .vector = (uint64_t)(uintptr_t)message->msg_iov,
        .count = (uint32_t)message->msg_iovlen,
        .peer = message->msg_name != NULL ? (uint64_t)(uintptr_t)&from : 0,
        .control = (uint64_t)(uintptr_t)message->msg_control,
        .control_octets = message->msg_control != NULL ? message->msg_controllen : 0,
    };
    bool claimed = false;
    if (UNLIKELY(description->shelf != NULL)) { /* a forked process may have read the first one */
        shelf_look(description);
        claimed = (flags & (MSG_PEEK | MSG_ERRQUEUE)) == 0 && shelf_claim(description);
    }
    ssize_t result = pronghorn_receive_message(process.worker, description->handle, &own, flags & ~OWN_FLAGS);
    if (claimed)
        result >= 0 ? shelf_pass(description) : shelf_unclaim(description);
    if (result < 0)
        return result;
    message->msg_flags = (int)own.flags | (flags & MSG_CMSG_CLOEXEC);
    message->msg_controllen = own.control_octets;
    if (message->msg_name != NULL && own.addressed != 0)
        address_out(description, &from, message->msg_name, &message->msg_namelen);
    else
        message->msg_namelen = 0;
    return result;
}

/* From the engine or, of a socket that has both sides, from the kernel. Lock held. */
static ssize_t receive_datagram(struct description *description, struct msghdr *message, int flags)
{
    ssize_t result;
    bool looked_again = false;
    description_use(description);
    for (;;) {
        result = receive_now(description, message, flags);
        if (result != -EAGAIN)
            break;
        if (description->path == PATH_BOTH && description->fd >= 0) {
            result = LIBC->recvmsg(description->fd, message, flags | MSG_DONTWAIT);
            if (result >= 0)
                break;
            result = -errno;
            if (result != -EAGAIN)
                break;
        }
        if (!may_wait(description, flags) || (flags & MSG_ERRQUEUE) != 0) {
            if (!looked_again && turn_late()) {
                looked_again = true;
                continue;
            }
            break;
        }
        int waited = wait_for_events(description, EPOLLIN, POLLIN, description->receive_timeout);
        if (waited != 0) {
            result = waited;
            break;
        }
    }
    description_done(description);
    return result;
}

static ssize_t receive_message(struct description *description, struct msghdr *message, int flags)
{
    if (description->type != SOCK_STREAM)
        return receive_datagram(description, message, flags);
    if ((flags & MSG_ERRQUEUE) != 0 || message->msg_controllen != 0) {
        ssize_t result = receive_now(description, message, flags);
        if (result != -EAGAIN || !may_wait(description, flags) || (flags & MSG_ERRQUEUE) != 0)
            return result;
    }
    message->msg_flags = 0;
    message->msg_controllen = 0;
    message->msg_namelen = 0;
    return receive_stream(description, message->msg_iov, (int)message->msg_iovlen, flags);
}

/* --- the calls --------------------------------------------------------------------------------------------------- */

static ssize_t receive_parts(int fd, struct description *description, struct iovec *parts, int count, int flags)
{
    ssize_t result = lock_on(fd, description);
    if (UNLIKELY(result != 0))
        return fail(result);
    if (LIKELY(description->type == SOCK_STREAM)) {
        result = receive_stream(description, parts, count, flags);
    } else {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
        result = receive_datagram(description, &message, flags);
    }
    unlock();
    return LIKELY(result >= 0) ? result : fail(result);
}

static ssize_t receive_one(int fd, struct description *description, void *data, size_t octets, int flags)
{
    struct iovec part = {data, octets < 0x7FFFF000 ? octets : 0x7FFFF000};
    if (LIKELY(description->type == SOCK_STREAM && (flags & MSG_WAITALL) == 0)) {
        ssize_t result = lock_on(fd, description);
        if (UNLIKELY(result != 0))
            return fail(result);
        result = pronghorn_receive(process.worker, description->handle, (int64_t)(uintptr_t)data, (int64_t)part.iov_len,
                                   flags & ~OWN_FLAGS);
        if (result == -EAGAIN) {
            if (may_wait(description, flags))
                result = receive_later(description, &part, 1, flags, 0);
            else if (turn_late())
                result = pronghorn_receive(process.worker, description->handle, (int64_t)(uintptr_t)data,
                                           (int64_t)part.iov_len, flags & ~OWN_FLAGS);
        }
        unlock();
        return LIKELY(result >= 0) ? result : fail(result);
    }
    return receive_parts(fd, description, &part, 1, flags);
}

EXPORT ssize_t read(int fd, void *data, size_t octets)
{
    struct description *description = ours(fd);
    return description == NULL ? LIBC->read(fd, data, octets) : receive_one(fd, description, data, octets, 0);
}

EXPORT ssize_t recv(int fd, void *data, size_t octets, int flags)
{
    struct description *description = ours(fd);
    return description == NULL ? LIBC->recv(fd, data, octets, flags) : receive_one(fd, description, data, octets, flags);
}

EXPORT ssize_t readv(int fd, const struct iovec *parts, int count)
{
    struct description *description = ours(fd);
    if (description == NULL)
        return LIBC->readv(fd, parts, count);
    if (count < 0 || count > MOST_PARTS)
        return fail(-EINVAL);
    return receive_parts(fd, description, (struct iovec *)parts, count, 0);
}

EXPORT ssize_t preadv2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    if (ours(fd) == NULL || offset != -1 || flags != 0)
        return LIBC->preadv2(fd, parts, count, offset, flags);
    return readv(fd, parts, count);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    struct description *description = ours(fd);
    if (description == NULL)
        return LIBC->recvmsg(fd, message, flags);
    if (message->msg_iovlen > MOST_PARTS)
        return fail(-EMSGSIZE);
    ssize_t result = lock_on(fd, description);
    if (result != 0)
        return fail(result);
    result = receive_message(description, message, flags);
    unlock();
    return result >= 0 ? result : fail(result);
}

EXPORT ssize_t recvfrom(int fd, void *data, size_t octets, int flags, struct sockaddr *address, socklen_t *room)
{
    struct description *description = ours(fd);
    if (description == NULL)
        return LIBC->recvfrom(fd, data, octets, flags, address, room);
    if (address == NULL)
        return receive_one(fd, description, data, octets, flags);
    struct iovec part = {data, octets < 0x7FFFF000 ? octets : 0x7FFFF000};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_name = address, .msg_namelen = room ? *room : 0};
    ssize_t result = recvmsg(fd, &message, flags);
    if (result >= 0 && room != NULL)
        *room = message.msg_namelen;
    return result;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    struct description *description = ours(fd);
    if (description == NULL)
        return LIBC->recvmmsg(fd, messages, count, flags, timeout);
    int64_t end = timeout != NULL ? clock_now() + timeout->tv_sec * SECOND + timeout->tv_nsec : 0;
    unsigned place = 0;
    for (; place < count && place < MOST_PARTS; place++) {
        ssize_t taken = recvmsg(fd, &messages[place].msg_hdr, flags & ~MSG_WAITFORONE);
        if (taken < 0)
            break;
        messages[place].msg_len = (unsigned)taken;
        if ((flags & MSG_WAITFORONE) != 0)
            flags |= MSG_DONTWAIT;
        if (timeout != NULL && clock_now() >= end) /* as Linux: looked at after a datagram */
            return (int)place + 1;
    }
    return place > 0 || count == 0 ? (int)place : -1;
}
