/*
 * Which signals were handled while a call was waiting. On Linux a call that sleeps ends with EINTR when a handler has run,
 * or goes on after one that was set with SA_RESTART. Ours also turns the stack and spins, in user space, where the kernel
 * ends nothing. So once the process is attached, handlers stand behind one of ours, which counts for its thread and goes on
 * to the program's; and it empties the time that the thread is about to sleep, so that none is slept through that comes
 * between the last look at the count and the system call.
 *
 * Programs are told of their own handlers and flags. What sets a handler by a system call of its own is not seen; it ends
 * calls only while they sleep (wait.c says what that means).
 *
 * Left out: sigvec, ssignal, sigset and the like, which are not in use any more; their handlers are found when the next
 * one is set.
 */
#include "preload.h"

typedef void full_handler(int, siginfo_t *, void *);

static struct known {
    full_handler *handler; /* the program's; a plain one takes no harm from three arguments */
    bool plain;            /* set without SA_SIGINFO */
    bool restarts;
} known[_NSIG];
static bool watching;

__thread volatile struct interruptions interruptions;

static void pass_on(int number, siginfo_t *what, void *where)
{
    struct known *entry = &known[number];
    interruptions.handled++;
    if (!entry->restarts)
        interruptions.ending++;
    if (interruptions.nap != NULL)
        *interruptions.nap = (struct timespec){0, 0};
    __atomic_load_n(&entry->handler, __ATOMIC_RELAXED)(number, what, where);
}

/* Put ours before a handler. What `action` says is the program's. */
static void stand_before(int number, struct sigaction *action)
{
    struct known *entry = &known[number];
    if ((action->sa_flags & SA_SIGINFO) == 0 && (action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN))
        return;
    if (action->sa_sigaction == pass_on)
        return;
    full_handler *handler = action->sa_sigaction; /* the same member as sa_handler */
    entry->plain = (action->sa_flags & SA_SIGINFO) == 0;
    entry->restarts = (action->sa_flags & SA_RESTART) != 0;
    __atomic_store_n(&entry->handler, handler, __ATOMIC_RELEASE);
    action->sa_sigaction = pass_on;
    action->sa_flags |= SA_SIGINFO;
}

/* As the program had set it: `entry` as it was then. */
static void as_set(const struct known *entry, struct sigaction *action)
{
    if ((action->sa_flags & SA_SIGINFO) == 0 || action->sa_sigaction != pass_on)
        return;
    action->sa_sigaction = entry->handler;
    if (entry->plain)
        action->sa_flags &= ~SA_SIGINFO;
}

EXPORT int sigaction(int number, const struct sigaction *action, struct sigaction *before)
{
    if (!watching || number < 1 || number >= _NSIG)
        return LIBC->sigaction(number, action, before);
    struct sigaction wanted;
    struct known entry = known[number];
    if (action != NULL) {
        wanted = *action;
        stand_before(number, &wanted);
    }
    int result = LIBC->sigaction(number, action != NULL ? &wanted : NULL, before);
    if (result == 0 && before != NULL)
        as_set(&entry, before);
    return result;
}

EXPORT __sighandler_t signal(int number, __sighandler_t handler)
{
    if (!watching || number < 1 || number >= _NSIG)
        return LIBC->signal(number, handler);
    struct known entry = known[number];
    struct sigaction action;
    __sighandler_t before = LIBC->signal(number, handler);
    if (before != SIG_ERR && LIBC->sigaction(number, NULL, &action) == 0) {
        stand_before(number, &action); /* siginterrupt() has a say in the flags: they are libc's */
        LIBC->sigaction(number, &action, NULL);
    }
    return (void *)before == (void *)pass_on ? (__sighandler_t)(void *)entry.handler : before;
}

EXPORT int siginterrupt(int number, int flag)
{
    int result = LIBC->siginterrupt(number, flag);
    if (result == 0 && watching && number >= 1 && number < _NSIG)
        known[number].restarts = flag == 0;
    return result;
}

/* From now on calls wait in user space. Handlers that are there already are found. */
void signals_begin(void)
{
    struct sigaction action;
    if (watching)
        return;
    watching = true;
    for (int number = 1; number < _NSIG; number++)
        if (LIBC->sigaction(number, NULL, &action) == 0) {
            __sighandler_t handler = action.sa_handler;
            stand_before(number, &action);
            if (action.sa_handler != handler)
                LIBC->sigaction(number, &action, NULL);
        }
}
