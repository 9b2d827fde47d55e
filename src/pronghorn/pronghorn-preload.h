/*
 * Sending and receiving without a copy, for programs that `pronghorn run` starts: memory of the stack's own buffers is
 * lent to the program for a while.
 *
 *     void *room;
 *     ssize_t octets = pronghorn_fd_send_buffer(fd, 1000000, &room);     write there, then
 *     pronghorn_fd_commit(fd, octets);                                   these octets go out
 *
 *     const void *data;
 *     ssize_t octets = pronghorn_fd_receive_view(fd, &data);             read there, then
 *     pronghorn_fd_receive_release(fd, octets);                          these octets are read
 *
 * The functions are in libpronghorn-preload.so, which is there when the program is accelerated. They are weak symbols: a
 * program links without the library, and asks `if (pronghorn_fd_send_buffer != NULL)`. So do position-independent
 * programs, which compilers make nowadays; others, plugins, and languages other than C ask dlsym(RTLD_DEFAULT, ...).
 *
 * They wait as send() and recv() do: O_NONBLOCK, SO_SNDTIMEO, SO_RCVTIMEO. Results below 0 are -1, with errno:
 *
 *     EOPNOTSUPP   the socket is the kernel's, or no stream: use write() and read(), which always work
 *     EAGAIN       nothing to be had now, or within the timeout
 *     EINVAL       nothing is lent, less is lent than that, or `octets` is 0
 *     EBUSY        something is lent already; also from write() and read() while it is
 *     EPIPE        sending has ended; no SIGPIPE is raised.   ENOTCONN, ECONNRESET, EINTR, EBADF ...   as send, recv
 *
 * One loan of each direction and socket at a time. What is lent stays where it is until it is given back, whatever happens
 * to the connection; a forked child has no loans. Any thread may end a loan.
 */
#ifndef PRONGHORN_PRELOAD_H
#define PRONGHORN_PRELOAD_H

#include <stddef.h>
#include <sys/types.h>

#ifndef PRONGHORN_OPTIONAL
#define PRONGHORN_OPTIONAL __attribute__((weak))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Room in the send buffer for up to `octets`, at *memory: how many. It may be less, as with write(). */
PRONGHORN_OPTIONAL ssize_t pronghorn_fd_send_buffer(int fd, size_t octets, void **memory);
/* The first `octets` of it were written: they are sent, and the rest is given up. 0 gives up all. Returns `octets`. */
PRONGHORN_OPTIONAL ssize_t pronghorn_fd_commit(int fd, size_t octets);
/* What has come, at *memory: how many octets; 0: the other side has ended, and nothing is lent. */
PRONGHORN_OPTIONAL ssize_t pronghorn_fd_receive_view(int fd, const void **memory);
/* The first `octets` of it were read; the rest comes again. Returns 0. */
PRONGHORN_OPTIONAL int pronghorn_fd_receive_release(int fd, size_t octets);
/* Give back a loan whose socket was closed meanwhile, by where it is. Returns 0. */
PRONGHORN_OPTIONAL int pronghorn_fd_loan_release(const void *memory);

#ifdef __cplusplus
}
#endif

#endif
