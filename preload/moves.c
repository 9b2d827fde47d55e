/*
 * sendfile and splice: octets go between a file or a pipe and the engine's own memory (send_reserve, receive_view), so that
 * none is copied twice, and none taken that cannot be put down. Nothing waits for a disk or a pipe with the lock held. And
 * the variants of read, recv and poll that _FORTIFY_SOURCE calls.
 */
#include "preload.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE 65536 /* octets moved with the lock held */

#define COLD (-4096)            /* no errno: the file's octets are not in memory */

/* What fills, or takes, room in memory: octets, 0 at the end, minus an errno, or COLD. None waits. */
typedef ssize_t mover(int fd, void *data, size_t octets, off_t *offset);

static bool is_unknown(int error) /* of RWF_NOWAIT: an older kernel, or a file system without it */
{
    return error == EOPNOTSUPP || error == EINVAL || error == ENOSYS;
}

static ssize_t from_file(int fd, void *data, size_t octets, off_t *offset)
{
    struct iovec part = {data, octets};
    ssize_t taken = LIBC->preadv2(fd, &part, 1, *offset, RWF_NOWAIT);
    if (taken < 0 && errno == EAGAIN)
        return COLD;
    if (taken < 0 && is_unknown(errno))
        taken = pread(fd, data, octets, *offset);
    return taken >= 0 ? taken : -errno;
}

/* Let the octets come into memory. Without the lock. 0, or minus an errno. */
static int warm(int fd, off_t offset)
{
    char octets[4096];
    return pread(fd, octets, sizeof octets, offset) >= 0 ? 0 : -errno;
}

static bool pipe_is(int fd, short events)
{
    struct pollfd side = {.fd = fd, .events = events};
    return LIBC->poll(&side, 1, 0) != 0;
}

static ssize_t from_pipe(int fd, void *data, size_t octets, off_t *offset)
{
    (void)offset;
    if (!pipe_is(fd, POLLIN))
        return -EAGAIN;
    ssize_t taken = LIBC->read(fd, data, octets);
    return taken >= 0 ? taken : -errno;
}

/* A pipe that has room takes PIPE_BUF at once; whether more, only RWF_NOWAIT tells. */
static ssize_t to_pipe(int fd, void *data, size_t octets, off_t *offset)
{
    struct iovec part = {data, octets};
    (void)offset;
    ssize_t put = LIBC->pwritev2(fd, &part, 1, -1, RWF_NOWAIT);
    if (put < 0 && is_unknown(errno)) {
        if (!pipe_is(fd, POLLOUT))
            return -EAGAIN;
        put = LIBC->write(fd, data, octets < PIPE_BUF ? octets : PIPE_BUF);
    }
    return put >= 0 ? put : -errno;
}

/* One piece from the file into the stream. Lock held. */
static ssize_t piece_out(struct description *description, int fd, off_t *offset, size_t octets, mover *move)
{
    uint64_t room;
    int64_t there = pronghorn_send_reserve(process.worker, description->handle,
                                           (int64_t)(octets < PIECE ? octets : PIECE), &room);
    if (there <= 0)
        return there == 0 ? -EAGAIN : there;
    ssize_t moved = move(fd, (void *)(uintptr_t)room, (size_t)there < octets ? (size_t)there : octets, offset);
    int64_t sent = pronghorn_send_commit(process.worker, description->handle, moved > 0 ? moved : 0);
    if (moved <= 0)
        return moved;
    if (sent > 0 && offset != NULL)
        *offset += moved;
    turn_after(description);
    return sent < 0 ? sent : moved;
}

static ssize_t piece_in(struct description *description, int fd, off_t *offset, size_t octets, mover *move)
{
    uint64_t data;
    int64_t there = pronghorn_receive_view(process.worker, description->handle, &data);
    if (there <= 0)
        return there;
    ssize_t moved = move(fd, (void *)(uintptr_t)data, (size_t)there < octets ? (size_t)there : octets, offset);
    pronghorn_receive_release(process.worker, description->handle, moved > 0 ? moved : 0);
    return moved;
}

/* Piece after piece. `here`, `there`: wait for the socket, for the pipe. `all`: until all are moved, as a blocking
 * sendfile; otherwise one success is enough. */
static ssize_t move_all(int fd, struct description *description, int other, off_t *offset, size_t octets, bool out,
                        bool here, bool there, bool all)
{
    ssize_t result = lock_on(fd, description), done = 0;
    if (result != 0)
        return result;
    description_use(description);
    while (octets > 0) {
        result = out ? piece_out(description, other, offset, octets, offset != NULL ? from_file : from_pipe)
                     : piece_in(description, other, offset, octets, to_pipe);
        if (result == COLD) {
            unlock();
            result = warm(other, *offset);
            lock();
            if (result == 0)
                continue;
        }
        if (result == -EAGAIN && (done == 0 || all)) {
            struct pollfd side = {.fd = other, .events = out ? POLLIN : POLLOUT};
            int64_t events = pronghorn_socket_events(process.worker, description->handle);
            bool ready = (events & (out ? EPOLLOUT : EPOLLIN)) != 0; /* then it is the pipe that is not */
            if (ready && there) {
                unlock();
                result = LIBC->ppoll(&side, 1, NULL, NULL) < 0 ? -errno : 0;
                lock();
            } else if (!ready && here) {
                result = wait_for_events(description, out ? EPOLLOUT : EPOLLIN | EPOLLRDHUP, 0,
                                         out ? description->send_timeout : description->receive_timeout);
            }
            if (result == 0)
                continue;
        }
        if (result <= 0)
            break;
        done += result;
        octets -= (size_t)result;
    }
    description_done(description);
    unlock();
    return done > 0 ? done : result;
}

static ssize_t moved(ssize_t result, bool out)
{
    if (result >= 0)
        return result;
    if (result == -EPIPE && out)
        raise(SIGPIPE);
    return fail(result);
}

EXPORT ssize_t sendfile(int target, int source, off_t *offset, size_t octets)
{
    struct description *description = ours(target);
    struct stat facts;
    if (description == NULL && ours(source) == NULL)
        return LIBC->sendfile(target, source, offset, octets);
    if (ours(source) != NULL || description->type != SOCK_STREAM)
        return fail(-EINVAL);
    if (fstat(source, &facts) != 0)
        return -1;
    if (!S_ISREG(facts.st_mode) && !S_ISBLK(facts.st_mode))
        return fail(-EINVAL);
    if (octets > 0x7FFFF000)
        octets = 0x7FFFF000;
    off_t place = offset != NULL ? *offset : lseek(source, 0, SEEK_CUR);
    if (place < 0)
        return fail(-EINVAL);
    bool wait = (description->flags & O_NONBLOCK) == 0;
    ssize_t result = move_all(target, description, source, &place, octets, true, wait, false, true);
    if (offset != NULL)
        *offset = place;
    else if (result > 0)
        lseek(source, place, SEEK_SET);
    return moved(result, true);
}

EXPORT ssize_t sendfile64(int target, int source, off_t *offset, size_t octets)
{
    return sendfile(target, source, offset, octets);
}

EXPORT ssize_t splice(int source, off_t *source_offset, int target, off_t *target_offset, size_t octets, unsigned flags)
{
    struct description *from = ours(source), *to = ours(target);
    struct stat facts;
    if (from == NULL && to == NULL)
        return LIBC->splice(source, source_offset, target, target_offset, octets, flags);
    struct description *description = from != NULL ? from : to;
    int pipe = from != NULL ? target : source;
    if (description->type != SOCK_STREAM || (from != NULL && to != NULL) || fstat(pipe, &facts) != 0 ||
        !S_ISFIFO(facts.st_mode))
        return fail(-EINVAL);
    if (source_offset != NULL || target_offset != NULL)
        return fail(-ESPIPE);
    /* As Linux: the flag is for the pipe, and for a socket that is sent to. */
    bool there = (flags & SPLICE_F_NONBLOCK) == 0 && (LIBC->fcntl(pipe, F_GETFL) & O_NONBLOCK) == 0;
    bool here = (description->flags & O_NONBLOCK) == 0 && (from != NULL || there);
    return moved(
        move_all(from != NULL ? source : target, description, pipe, NULL, octets, to != NULL, here, there, false),
        to != NULL);
}

/* --- _FORTIFY_SOURCE --------------------------------------------------------------------------------------------- */

extern void __chk_fail(void) __attribute__((noreturn));
ssize_t __read_chk(int fd, void *data, size_t octets, size_t room);
ssize_t __recv_chk(int fd, void *data, size_t octets, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *data, size_t octets, size_t room, int flags, struct sockaddr *address,
                       socklen_t *size);

EXPORT ssize_t __read_chk(int fd, void *data, size_t octets, size_t room)
{
    if (octets > room)
        __chk_fail();
    return read(fd, data, octets);
}

EXPORT ssize_t __recv_chk(int fd, void *data, size_t octets, size_t room, int flags)
{
    if (octets > room)
        __chk_fail();
    return recv(fd, data, octets, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *data, size_t octets, size_t room, int flags, struct sockaddr *address,
                              socklen_t *size)
{
    if (octets > room)
        __chk_fail();
    return recvfrom(fd, data, octets, flags, address, size);
}
