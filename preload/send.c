/*
 * write, send and their kind.
 */
#include "preload.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#define OWN_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CONFIRM | MSG_EOR | MSG_DONTROUTE)
#define MOST_PARTS 1024

static inline bool may_wait(const struct description *description, int flags)
{
    return (description->flags & O_NONBLOCK) == 0 && (flags & MSG_DONTWAIT) == 0;
}

/* The end of a call, without the lock. */
static ssize_t sent(ssize_t result, bool stream, int flags)
{
    if (LIKELY(result >= 0))
        return result;
    if (result == -EPIPE && stream && (flags & MSG_NOSIGNAL) == 0)
        pthread_kill(pthread_self(), SIGPIPE);
    return fail(result);
}

/* --- streams ----------------------------------------------------------------------------------------------------- */

/* The rest, of which `before` octets are gone: until all has gone. Lock held. */
static ssize_t send_rest(struct description *description, struct iovec *parts, int count, int flags, ssize_t before)
{
    ssize_t gone = before, result = 0;
    description_use(description);
    while (count > 0) {
        result = wait_for_events(description, EPOLLOUT, 0, description->send_timeout);
        if (result == 0)
            result = pronghorn_send_vector(process.worker, description->handle, (struct pronghorn_part *)parts, count,
                                           flags & ~OWN_FLAGS, NULL);
        if (result == -EAGAIN && description->send_timeout == 0)
            continue;
        if (result < 0)
            break;
        gone += result;
        while (count > 0 && (size_t)result >= parts->iov_len) {
            result -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + result;
            parts->iov_len -= (size_t)result;
        }
    }
    turn_after(description);
    description_done(description);
    return gone > 0 ? gone : result;
}

static size_t octets_of(const struct iovec *parts, int count)
{
    size_t octets = 0;
    for (int place = 0; place < count; place++)
        octets += parts[place].iov_len;
    return octets;
}

static ssize_t send_stream(struct description *description, const struct iovec *parts, int count, int flags)
{
    ssize_t gone = pronghorn_send_vector(process.worker, description->handle, (struct pronghorn_part *)parts, count,
                                         flags & ~OWN_FLAGS, NULL);
    if (gone < 0 && gone != -EAGAIN)
        return gone;
    if (!may_wait(description, flags) || (gone >= 0 && (size_t)gone == octets_of(parts, count))) {
        turn_after(description);
        return gone;
    }
    struct iovec rest[MOST_PARTS];
    ssize_t before = gone > 0 ? gone : 0, skip = before;
    int left = 0;
    for (int place = 0; place < count; place++) {
        ssize_t passed = skip < (ssize_t)parts[place].iov_len ? skip : (ssize_t)parts[place].iov_len;
        skip -= passed;
        if (passed < (ssize_t)parts[place].iov_len)
            rest[left++] = (struct iovec){(char *)parts[place].iov_base + passed, parts[place].iov_len - (size_t)passed};
    }
    return left == 0 ? gone : send_rest(description, rest, left, flags, before);
}

static ssize_t send_one(int fd, struct description *description, const void *data, size_t octets, int flags)
{
    struct iovec part = {(void *)data, octets < 0x7FFFF000 ? octets : 0x7FFFF000};
    bool stream = description->type == SOCK_STREAM;
    ssize_t result = lock_on(fd, description);
    if (UNLIKELY(result != 0))
        return fail(result);
    result = pronghorn_send(process.worker, description->handle, (int64_t)(uintptr_t)data, (int64_t)part.iov_len,
                            flags & ~OWN_FLAGS);
    if (LIKELY(result == (ssize_t)part.iov_len) || (result < 0 && result != -EAGAIN) || !may_wait(description, flags)) {
        turn_after(description);
    } else {
        ssize_t before = result > 0 ? result : 0;
        part.iov_base = (char *)part.iov_base + before;
        part.iov_len -= (size_t)before;
        result = send_rest(description, &part, 1, flags, before);
    }
    unlock();
    return sent(result, stream, flags);
}

/* --- datagrams --------------------------------------------------------------------------------------------------- */

/* Whose a datagram to the address is. 1: the engine's; 0: libc's; or minus an errno. Lock held. */
static int path_of_datagram(int fd, struct description *description, const struct msghdr *message,
                            struct pronghorn_address *to)
{
    if (description->fixed && description->path == PATH_KERNEL)
        return 0;
    if (message->msg_name == NULL || message->msg_namelen == 0)
        return description->path >= PATH_OURS ? 1 : 0;
    int result = address_in(description, message->msg_name, message->msg_namelen, to);
    if (result != 0)
        return description->path >= PATH_OURS ? result : 0;
    const char *why = path_of(description, to, false);
    if (why == NULL && open_ours(description) != 0)
        why = "no room in the engine";
    if (why == NULL) {
        await_link();
        if (description->path == PATH_KERNEL)
            LIBC->fcntl(fd, F_SETFL, description->flags | O_NONBLOCK);
        if (description->path < PATH_OURS)
            decide(description, description->path == PATH_KERNEL ? PATH_BOTH : PATH_OURS, NULL);
        return 1;
    }
    if (description->path == PATH_OURS) {
        if (description->fixed)
            return -EINVAL; /* bound to an address of the link */
        LIBC->fcntl(fd, F_SETFL, description->flags | O_NONBLOCK);
        decide(description, PATH_BOTH, why);
    } else if (description->path == PATH_UNDECIDED) {
        result = fall_back(description, why, ENETUNREACH);
    }
    return result;
}

/* Minus an errno; lock held on entry, not on exit. */
static ssize_t send_datagram(int fd, struct description *description, const struct msghdr *message, int flags)
{
    struct pronghorn_address to;
    ssize_t result = path_of_datagram(fd, description, message, &to);
    if (result == 0) {
        bool wait = may_wait(description, flags);
        unlock();
        do {
            result = LIBC->sendmsg(fd, message, flags);
            if (result >= 0 || errno != EAGAIN || !wait)
                return result >= 0 ? result : -errno;
            struct pollfd side = {.fd = fd, .events = POLLOUT};
            result = LIBC->ppoll(&side, 1, NULL, NULL);
        } while (result >= 0);
        return -errno;
    }
    struct pronghorn_message own = {
        .vector = (uint64_t)(uintptr_t)message->msg_iov,
        .count = (uint32_t)message->msg_iovlen,
        .peer = message->msg_name != NULL && message->msg_namelen != 0 ? (uint64_t)(uintptr_t)&to : 0,
        .control = (uint64_t)(uintptr_t)message->msg_control,
        .control_octets = message->msg_control != NULL ? message->msg_controllen : 0,
    };
    description_use(description);
    while (result >= 0) {
        result = pronghorn_send_message(process.worker, description->handle, &own, flags & ~OWN_FLAGS);
        if (result != -EAGAIN || !may_wait(description, flags))
            break;
        result = wait_for_events(description, EPOLLOUT, 0, description->send_timeout);
    }
    turn_after(description);
    description_done(description);
    unlock();
    return result;
}

/* --- the calls --------------------------------------------------------------------------------------------------- */

EXPORT ssize_t write(int fd, const void *data, size_t octets)
{
    struct description *description = ours(fd);
    if (description == NULL)
        return LIBC->write(fd, data, octets);
    if (LIKELY(description->type == SOCK_STREAM))
        return send_one(fd, description, data, octets, 0);
    return send(fd, data, octets, 0);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct description *description = description_of(fd);
    if (description == NULL || (description->path < PATH_OURS && description->type != SOCK_DGRAM) ||
        description->path == PATH_HIDDEN)
        return LIBC->sendmsg(fd, message, flags);
    if (message->msg_iovlen > MOST_PARTS)
        return fail(-EMSGSIZE);
    ssize_t result = lock_on(fd, description);
    if (result != 0)
        return fail(result);
    if (description->type == SOCK_DGRAM) {
        result = send_datagram(fd, description, message, flags);
        return result >= 0 ? result : fail(result);
    }
    if ((flags & MSG_FASTOPEN) != 0 && message->msg_iovlen != 0 && message->msg_name != NULL) {
        struct pronghorn_address to;
        result = address_in(description, message->msg_name, message->msg_namelen, &to);
        if (result == 0)
            result = pronghorn_send_vector(process.worker, description->handle,
                                           (struct pronghorn_part *)message->msg_iov, 1, flags & ~OWN_FLAGS, &to);
        turn_after(description);
    } else {
        result = send_stream(description, message->msg_iov, (int)message->msg_iovlen, flags);
    }
    unlock();
    return sent(result, true, flags);
}

EXPORT ssize_t send(int fd, const void *data, size_t octets, int flags)
{
    return sendto(fd, data, octets, flags, NULL, 0);
}

EXPORT ssize_t sendto(int fd, const void *data, size_t octets, int flags, const struct sockaddr *address,
                      socklen_t size)
{
    struct description *description = description_of(fd);
    if (description == NULL || (description->path < PATH_OURS && (description->type != SOCK_DGRAM || address == NULL)))
        return LIBC->sendto(fd, data, octets, flags, address, size);
    if (description->type == SOCK_STREAM && (flags & MSG_FASTOPEN) == 0)
        return send_one(fd, description, data, octets, flags);
    struct iovec part = {(void *)data, octets};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_name = (void *)address, .msg_namelen = address != NULL ? size : 0};
    return sendmsg(fd, &message, flags);
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    struct description *description = ours(fd);
    if (description == NULL)
        return LIBC->writev(fd, parts, count);
    if (count < 0 || count > MOST_PARTS)
        return fail(-EINVAL);
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
    return sendmsg(fd, &message, 0);
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    if (ours(fd) == NULL || offset != -1 || flags != 0)
        return LIBC->pwritev2(fd, parts, count, offset, flags);
    return writev(fd, parts, count);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    struct description *description = description_of(fd);
    if (description == NULL || description->path == PATH_KERNEL)
        return LIBC->sendmmsg(fd, messages, count, flags);
    unsigned place = 0;
    for (; place < count && place < MOST_PARTS; place++) {
        ssize_t gone = sendmsg(fd, &messages[place].msg_hdr, flags);
        if (gone < 0)
            break;
        messages[place].msg_len = (unsigned)gone;
    }
    return place > 0 || count == 0 ? (int)place : -1;
}
