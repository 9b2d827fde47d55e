/*
 * How a blocking call waits for its socket, and what signals mean to it.
 */
#include "preload.h"

#include <pthread.h>

struct awaited {
    int64_t handle;
    uint32_t events;
};

static bool has_events(void *context)
{
    struct awaited *awaited = context;
    int64_t events = pronghorn_socket_events(process.worker, awaited->handle);
    return events < 0 || (events & (awaited->events | EPOLLERR | EPOLLHUP)) != 0;
}

int wait_for_events(struct description *description, uint32_t events, short kernel, int64_t timeout)
{
    struct awaited awaited = {description->handle, events};
    int64_t deadline = timeout == 0 ? FOREVER : clock_now() + timeout;
    struct pollfd side = {.fd = description->fd, .events = kernel};
    nfds_t count = kernel != 0 && description->path == PATH_BOTH ? 1 : 0;
    int result;
    description_use(description);
    do
        result = wait_until(has_events, &awaited, deadline, &side, count, NULL);
    while (result == -EINTR && timeout == 0 && restarts());
    description_done(description);
    return result > 0 ? 0 : result == 0 ? -EAGAIN : result;
}

/* Handlers that were set with SA_RESTART let read() and its kind go on. When one that signals.c does not know of has ended
 * the sleep, which one it was is not known: when all that could have agree, it is as Linux does it; when they differ, the
 * call ends. */
bool restarts(void)
{
    if (interrupted())
        return interruptions.ending == interruptions.ending_then;
    struct sigaction action;
    sigset_t blocked;
    sigemptyset(&blocked);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    for (int number = 1; number <= SIGRTMAX; number++) {
        if (sigismember(&blocked, number) == 1 || sigaction(number, NULL, &action) != 0)
            continue;
        bool handled = (action.sa_flags & SA_SIGINFO) != 0 ||
                       (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
        if (handled && (action.sa_flags & SA_RESTART) == 0)
            return false;
    }
    return true;
}
