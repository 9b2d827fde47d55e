/*
 * Who turns the stack, and how one waits.
 *
 * At any moment at most one thread is the turner: it turns while there is work, spins for a while, asks the link for a
 * wake-up and sleeps on its pipe. In run-to-completion that is whoever came first of those that wait; in
 * run-to-wakeup a thread of ours. Everyone else who waits stands on a list, with a condition, and sleeps until somebody's
 * turn has made it true. A turner that leaves hands on to one of the list.
 *
 * Turns may be made by any thread with the lock, also while the turner sleeps; it is woken when they have brought a
 * deadline that comes before the end of its sleep.
 */
#include "preload.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPIN 30000        /* ns that a turner goes on turning when there is no work */
#define GLANCE 20000      /* ns between looks at the kernel's descriptors meanwhile */
#define STALE 50000       /* ns since the last turn after which a send is not left to the next one */
#define FRESH 1000        /* ns since the last turn in which nothing new is expected */
#define LINGER (2 * SECOND) /* that a process which ends waits for what is under way */
#define WAITER_TRIES 400  /* looks at its word before a waiter sleeps, run-to-wakeup */

struct waiter {
    struct waiter *next, *before;
    condition *met;
    void *context;
    uint32_t word;  /* 1: woken; a futex */
    int event;      /* a descriptor that wakes it, when it sleeps in ppoll; -1 */
};

static struct waiter *waiters;
static bool turning;          /* there is a turner */
static int64_t asleep_until;  /* the turner sleeps, and till when; 0 */
static bool hung_up;          /* nobody is left who could ring the link's pipe, which would be ready for ever */
static int bell = -1;         /* eventfd that wakes the turner */
static bool changed;          /* conditions may have come true without a turn that had work */
static int64_t last_turn;

/* --- waking ------------------------------------------------------------------------------------------------------ */

static void wake(struct waiter *waiter)
{
    if (waiter->word != 0)
        return;
    __atomic_store_n(&waiter->word, 1, __ATOMIC_RELEASE);
    if (waiter->event >= 0)
        eventfd_write(waiter->event, 1);
    else
        syscall(SYS_futex, &waiter->word, FUTEX_WAKE_PRIVATE, 1);
}

static void wake_those_met(void)
{
    changed = false;
    for (struct waiter *waiter = waiters; waiter != NULL; waiter = waiter->next)
        if (waiter->word == 0 && waiter->met(waiter->context))
            wake(waiter);
}

static inline int64_t turn_once(void)
{
    int64_t work = pronghorn_engine_poll(process.worker);
    last_turn = (int64_t)process.worker->now;
    process.calls = 0;
    if (UNLIKELY(fork_busy))
        work += fork_turn(last_turn);
    if (UNLIKELY(waiters != NULL) && (work != 0 || changed))
        wake_those_met();
    return work;
}

static void ring_bell(void)
{
    asleep_until = 0;
    if (bell >= 0)
        eventfd_write(bell, 1);
}

void turn(void)
{
    int error = errno;
    changed = true;
    turn_once();
    if (asleep_until != 0) {
        int64_t rest = pronghorn_engine_doze(process.worker);
        if (rest == 0 || (int64_t)process.worker->now + rest < asleep_until)
            ring_bell();
    }
    errno = error;
}

void turn_after(struct description *description)
{
    if (turning && asleep_until == 0) {
        changed = true;
        return; /* the turner comes by in a moment */
    }
    if (process.wakeup || (description->flags & O_NONBLOCK) == 0 || waiters != NULL || turning ||
        pronghorn_engine_now(process.worker) - last_turn > STALE)
        turn();
}

/* Programs that never wait, but ask again and again, turn the stack too. */
void turn_meanwhile(void)
{
    process.calls = 0;
    if (process.worker != NULL && (!turning || asleep_until != 0))
        turn();
}

bool turn_late(void)
{
    if ((turning && asleep_until == 0) || pronghorn_engine_now(process.worker) - last_turn < FRESH)
        return false;
    turn();
    return true;
}

/* --- sleeping ---------------------------------------------------------------------------------------------------- */

/* `time` is what a system call that the kernel reads it for sleeps, and a handler of a signal ends. */
static void lie_down(struct timespec *time, int64_t ns)
{
    *time = (struct timespec){ns < 0 ? 1000000000 : ns / SECOND, ns < 0 ? 0 : ns % SECOND};
    interruptions.nap = time;
}

/* ppoll on the kernel's descriptors and up to two of ours. 2: one of the first; 0: something else; -EINTR. Lock free. */
static int sleep_on(struct pollfd *kernel, nfds_t count, int first, int second, int64_t ns, const sigset_t *mask)
{
    struct pollfd few[16], *all = few;
    if (count + 2 > sizeof few / sizeof few[0] && (all = malloc((count + 2) * sizeof *all)) == NULL)
        return 0;
    if (count != 0)
        memcpy(all, kernel, count * sizeof *all);
    all[count] = (struct pollfd){.fd = first, .events = POLLIN};
    all[count + 1] = (struct pollfd){.fd = second, .events = POLLIN};
    struct timespec time;
    lie_down(&time, ns);
    long result = 0, ready = interrupted() ? 0 : LIBC->syscall(SYS_ppoll, all, count + 2, &time, mask, (size_t)_NSIG / 8);
    interruptions.nap = NULL;
    if (ready <= 0) {
        result = interrupted() || (ready < 0 && errno == EINTR) ? -EINTR : 0;
    } else {
        hung_up |= (all[count].revents & (POLLIN | POLLHUP)) == POLLHUP;
        for (nfds_t place = 0; place < count; place++)
            if ((kernel[place].revents = all[place].revents) != 0)
                result = 2;
    }
    if (all != few)
        free(all);
    return (int)result;
}

/* Signals that only the mask lets through come in here, too. */
static bool kernel_is_ready(struct pollfd *kernel, nfds_t count, const sigset_t *mask)
{
    static const struct timespec none;
    return (count != 0 || mask != NULL) && LIBC->ppoll(kernel, count, &none, mask) > 0;
}

static __thread int own_event __attribute__((tls_model("initial-exec"))) = -1;

static int event_of_thread(void)
{
    if (own_event < 0 && (own_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) >= 0)
        own_event = hide(own_event);
    return own_event;
}

/* Stand on the list until woken. 1: woken; else as wait_until. Lock held, free meanwhile. */
static int stand_by(condition *met, void *context, int64_t deadline, struct pollfd *kernel, nfds_t count,
                    const sigset_t *mask)
{
    struct waiter self = {.next = waiters, .met = met, .context = context, .event = -1};
    bool by_futex = count == 0 && mask == NULL;
    int result = 0;
    if (!by_futex) {
        self.event = event_of_thread();
        eventfd_t ignored;
        eventfd_read(self.event, &ignored);
    }
    if (waiters != NULL)
        waiters->before = &self;
    waiters = &self;
    unlock();
    for (int tries = 0; tries < WAITER_TRIES && __atomic_load_n(&self.word, __ATOMIC_ACQUIRE) == 0; tries++)
        pause_briefly();
    while (__atomic_load_n(&self.word, __ATOMIC_ACQUIRE) == 0 && result == 0) {
        int64_t rest = deadline == FOREVER ? FOREVER : deadline - clock_now();
        if (deadline != FOREVER && rest <= 0)
            break;
        if (by_futex) {
            struct timespec time;
            lie_down(&time, rest);
            long over = interrupted() ? 0 : LIBC->syscall(SYS_futex, &self.word, FUTEX_WAIT_PRIVATE, 0, &time);
            interruptions.nap = NULL;
            result = interrupted() || (over != 0 && errno == EINTR) ? -EINTR : 0;
        } else {
            result = sleep_on(kernel, count, self.event, -1, rest, mask);
        }
    }
    lock();
    if (self.before != NULL)
        self.before->next = self.next;
    else
        waiters = self.next;
    if (self.next != NULL)
        self.next->before = self.before;
    return result != 0 ? result : self.word != 0 ? 1 : 0;
}

/* --- turning ----------------------------------------------------------------------------------------------------- */

/* A turner leaves: another one of those that wait is to take over. */
static void hand_on(void)
{
    turning = false;
    for (struct waiter *waiter = waiters; waiter != NULL; waiter = waiter->next)
        if (waiter->word == 0) {
            wake(waiter);
            return;
        }
}

/* Until something happens on the link, on the kernel's descriptors, to us, or `rest` ns have passed. */
static int doze(int64_t deadline, struct pollfd *kernel, nfds_t count, const sigset_t *mask)
{
    int64_t rest = pronghorn_engine_doze(process.worker), now = (int64_t)process.worker->now;
    if (rest <= 0)
        return 0;
    if (UNLIKELY(fork_busy))
        rest = fork_rest(rest);
    if (deadline != FOREVER && deadline - now < rest)
        rest = deadline > now ? deadline - now : 0;
    if (bell < 0)
        bell = hide(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    asleep_until = now + rest;
    unlock();
    int result = sleep_on(kernel, count, hung_up ? -1 : process.pipe, bell, rest, mask);
    lock();
    if (asleep_until == 0) {
        eventfd_t ignored;
        eventfd_read(bell, &ignored);
    }
    asleep_until = 0;
    pronghorn_engine_wake(process.worker);
    return result;
}

/* Be the turner until the condition holds. */
static int turn_until(condition *met, void *context, int64_t deadline, struct pollfd *kernel, nfds_t count,
                      const sigset_t *mask)
{
    int64_t busy = 0, glance = 0;
    for (;;) {
        int64_t work = turn_once(), now = last_turn;
        if (met(context))
            return 1;
        if (deadline != FOREVER && now >= deadline)
            return kernel_is_ready(kernel, count, NULL) ? 2 : 0;
        if (interrupted())
            return -EINTR;
        if ((count != 0 || mask != NULL) && now - glance >= GLANCE) {
            if (glance != 0 && kernel_is_ready(kernel, count, mask))
                return 2;
            glance = now;
        }
        if (work != 0 || busy == 0) {
            busy = now;
        } else if (now - busy >= SPIN) {
            int result = doze(deadline, kernel, count, mask);
            if (result != 0) {
                if (result == -EINTR) {
                    turn_once();
                    if (met(context))
                        return 1;
                }
                return result;
            }
            busy = 0;
        } else {
            pause_briefly();
        }
        lock_yield();
    }
}

int wait_until(condition *met, void *context, int64_t deadline, struct pollfd *kernel, nfds_t count,
               const sigset_t *mask)
{
    if (deadline == 0) {
        if (!turning || asleep_until != 0)
            turn();
        return met(context) ? 1 : kernel_is_ready(kernel, count, NULL) ? 2 : 0;
    }
    int error = errno, result;
    interruptions.handled_then = interruptions.handled;
    interruptions.ending_then = interruptions.ending;
    do {
        if (!turning) {
            turning = true;
            result = turn_until(met, context, deadline, kernel, count, mask);
            hand_on();
            break;
        }
        if (asleep_until != 0)
            turn();
        if (met(context)) {
            result = 1;
            break;
        }
        result = stand_by(met, context, deadline, kernel, count, mask);
        if (met(context))
            result = 1;
        else if (result == 1)
            result = 3; /* to take over, or somebody was faster */
        if (result != 3 && !turning)
            hand_on(); /* it may have been this one that was to take over */
    } while (result == 3);
    errno = error;
    return result;
}

/* --- the thread of run-to-wakeup, the beginning and the end ------------------------------------------------------ */

static bool never(void *context)
{
    (void)context;
    return false;
}

/* libc's setuid() and its kind interrupt all threads, whatever these block, so that each changes its rights: no reason to
 * end. */
static void *turn_always(void *unused)
{
    (void)unused;
    lock();
    for (;;)
        turn_until(never, NULL, FOREVER, NULL, 0, NULL);
    return NULL;
}

void turn_begin(void)
{
    if (!process.wakeup || turning)
        return;
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the program's signals are for its own threads */
    turning = true;
    if (pthread_create(&thread, NULL, turn_always, NULL) != 0) {
        turning = false;
        report("thread", "no thread for run-to-wakeup: the program's own threads turn the stack");
    } else {
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void nod(int fd, int64_t ns)
{
    interruptions.handled_then = interruptions.handled; /* of an earlier wait */
    sleep_on(NULL, 0, fd, -1, ns, NULL);
}

/* The engine's connections end with the process, so what is under way gets some time. */
void turn_end(void)
{
    int64_t end = clock_now() + LINGER;
    turn();
    while (pronghorn_unfinished(process.worker) != 0 && clock_now() < end) {
        int64_t rest = pronghorn_engine_doze(process.worker);
        if (rest > 0)
            nod(process.pipe, rest < SECOND / 100 ? rest : SECOND / 100);
        pronghorn_engine_wake(process.worker);
        turn();
    }
    await_taken();
}

void turn_forked(void)
{
    waiters = NULL;
    turning = changed = false;
    asleep_until = 0;
    if (bell >= 0)
        unhide_close(bell);
    bell = -1;
    own_event = -1;
    hung_up = false;
}
