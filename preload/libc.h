/*
 * The functions of libc that are stood in for, and how to reach the real ones.
 */
#ifndef PRELOAD_LIBC_H
#define PRELOAD_LIBC_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

/* Every function that is stood in for: F(result, name, parameters). A new one is a line here. */
#define LIBC_FUNCTIONS(F)                                                                                              \
    F(int, socket, (int, int, int))                                                                                    \
    F(int, bind, (int, const struct sockaddr *, socklen_t))                                                            \
    F(int, listen, (int, int))                                                                                         \
    F(int, accept, (int, struct sockaddr *, socklen_t *))                                                              \
    F(int, accept4, (int, struct sockaddr *, socklen_t *, int))                                                        \
    F(int, connect, (int, const struct sockaddr *, socklen_t))                                                         \
    F(int, shutdown, (int, int))                                                                                       \
    F(int, close, (int))                                                                                               \
    F(int, close_range, (unsigned, unsigned, int))                                                                     \
    F(void, closefrom, (int))                                                                                          \
    F(int, getsockname, (int, struct sockaddr *, socklen_t *))                                                         \
    F(int, getpeername, (int, struct sockaddr *, socklen_t *))                                                         \
    F(int, setsockopt, (int, int, int, const void *, socklen_t))                                                       \
    F(int, getsockopt, (int, int, int, void *, socklen_t *))                                                           \
    F(int, ioctl, (int, unsigned long, ...))                                                                           \
    F(int, fcntl, (int, int, ...))                                                                                     \
    F(int, fcntl64, (int, int, ...))                                                                                   \
    F(int, dup, (int))                                                                                                 \
    F(int, dup2, (int, int))                                                                                           \
    F(int, dup3, (int, int, int))                                                                                      \
    F(ssize_t, read, (int, void *, size_t))                                                                            \
    F(ssize_t, readv, (int, const struct iovec *, int))                                                                \
    F(ssize_t, write, (int, const void *, size_t))                                                                     \
    F(ssize_t, writev, (int, const struct iovec *, int))                                                               \
    F(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int))                                                  \
    F(ssize_t, pwritev2, (int, const struct iovec *, int, off_t, int))                                                 \
    F(ssize_t, recv, (int, void *, size_t, int))                                                                       \
    F(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))                                   \
    F(ssize_t, recvmsg, (int, struct msghdr *, int))                                                                   \
    F(int, recvmmsg, (int, struct mmsghdr *, unsigned, int, struct timespec *))                                        \
    F(ssize_t, send, (int, const void *, size_t, int))                                                                 \
    F(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t))                           \
    F(ssize_t, sendmsg, (int, const struct msghdr *, int))                                                             \
    F(int, sendmmsg, (int, struct mmsghdr *, unsigned, int))                                                           \
    F(ssize_t, sendfile, (int, int, off_t *, size_t))                                                                  \
    F(ssize_t, sendfile64, (int, int, off_t *, size_t))                                                                \
    F(ssize_t, splice, (int, off_t *, int, off_t *, size_t, unsigned))                                                 \
    F(int, poll, (struct pollfd *, nfds_t, int))                                                                       \
    F(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))                                \
    F(int, select, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                                              \
    F(int, pselect, (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))                    \
    F(int, epoll_create, (int))                                                                                        \
    F(int, epoll_create1, (int))                                                                                       \
    F(int, epoll_ctl, (int, int, int, struct epoll_event *))                                                           \
    F(int, epoll_wait, (int, struct epoll_event *, int, int))                                                          \
    F(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))                                       \
    F(int, epoll_pwait2, (int, struct epoll_event *, int, const struct timespec *, const sigset_t *))                  \
    F(long, syscall, (long, ...))                                                                                      \
    F(void, _exit, (int))                                                                                              \
    F(void, _Exit, (int))                                                                                              \
    F(pid_t, fork, (void))                                                                                             \
    F(pid_t, vfork, (void))                                                                                            \
    F(int, execve, (const char *, char *const *, char *const *))                                                       \
    F(int, execv, (const char *, char *const *))                                                                       \
    F(int, execvp, (const char *, char *const *))                                                                      \
    F(int, execvpe, (const char *, char *const *, char *const *))                                                      \
    F(int, fexecve, (int, char *const *, char *const *))                                                               \
    F(int, posix_spawn, (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,         \
                         char *const *, char *const *))                                                                \
    F(int, posix_spawnp, (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,        \
                          char *const *, char *const *))                                                               \
    F(int, sigaction, (int, const struct sigaction *, struct sigaction *))                                             \
    F(__sighandler_t, signal, (int, __sighandler_t))                                                                   \
    F(int, siginterrupt, (int, int))                                                                                   \
    F(int, setuid, (uid_t))                                                                                            \
    F(int, seteuid, (uid_t))                                                                                           \
    F(int, setreuid, (uid_t, uid_t))                                                                                   \
    F(int, setresuid, (uid_t, uid_t, uid_t))

#define LIBC_MEMBER(result, name, parameters) result(*name) parameters;
struct libc {
    LIBC_FUNCTIONS(LIBC_MEMBER)
};
#undef LIBC_MEMBER

/* The real functions, from any moment on: LIBC->read(...). One that this libc lacks is NULL. */
extern struct libc libc_functions;
extern bool libc_known;
struct libc *libc_find(void);
#define LIBC (LIKELY(libc_known) ? &libc_functions : libc_find())

#endif
