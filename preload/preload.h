/*
 * The libc interposer (docs/adr/0013-accelerated-programs.md): ours? else libc. What its files say to each other.
 *
 *     libc.c          the real functions
 *     process.c       the process's one lock, settings, reports
 *     attach.c        a link and an engine; Claims
 *     descriptors.c   which numbers are ours: the table of open file descriptions
 *     signals.c       which signals were handled while a call was waiting
 *     turn.c wait.c   turning the stack, sleeping, waking; how a blocking call waits
 *     paths.c         which path a socket takes; addresses in and out
 *     spares.c        kernel sockets behind numbers of outgoing connections, used again
 *     calls.c         socket, bind, listen, accept, connect, shutdown, close, names
 *     ends.c          shutdown, close, names
 *     receive.c send.c moves.c     read, write, recv, send and their kind; sendfile and splice
 *     lend.c          what programs may call that know of us (src/pronghorn/pronghorn-preload.h)
 *     options.c       setsockopt, getsockopt, ioctl, fcntl, dup
 *     register.c      the table that `pronghorn sockets` reads
 *     epoll.c epoll_wait.c poll.c    readiness
 *     fork.c adopt.c give.c exec.c   fork and exec: what children use, what parents give, what a new image finds
 *     shelves.c       datagrams that several processes may read
 *     strays.c        segments that come to the process that had the connection before
 *     rights.c        setuid and its kind: who inherits attaches before it gives its rights up
 *
 * Rules: everything below "lock held" is called with the process's lock held and keeps it held. Functions that stand in
 * for libc's return what libc's return and set errno; all others return minus an errno.
 */
#ifndef PRELOAD_H
#define PRELOAD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "libc.h"
#include "pronghorn.h"

#define EXPORT __attribute__((visibility("default")))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define SECOND 1000000000LL

/* --- process.c -------------------------------------------------------------------------------------------------- */

#define CALLS 64 /* on sockets of ours, after which the stack is turned though nobody waits */
#define PRELOAD_PIPES 64 /* as PIPES of state/attach.py */

struct process {
    struct pronghorn_worker *worker; /* the engine; NULL: not attached (yet) */
    unsigned calls;                  /* since the last turn */
    bool enabled;                    /* PRONGHORN_ATTACH or PRONGHORN_ATTACH_FD is there; otherwise all is libc's */
    bool refused;                    /* attaching has failed: the kernel's from now on, or errors with `strict` */
    bool patient;                    /* an end of a direct link that another process has may become free: say nothing */
    bool strict;                     /* PRONGHORN_STRICT: what cannot be ours is an error */
    bool wakeup;                     /* PRONGHORN_STACK=wakeup: a thread of ours turns the stack */
    char name[32];                   /* of the program, when it began: it may write a title over it */
    const char *attach_path;         /* PRONGHORN_ATTACH: the socket of a gateway; NULL */
    int attach_fd;                   /* PRONGHORN_ATTACH_FD: a Welcome waits there, of a direct link; -1 */
    int control;                     /* the socket that Claims go over; -1 */
    pid_t pid;                       /* that has attached: a child of vfork() ends nothing of its parent's */
    pid_t parent;                    /* of a forked child: told in Hello; 0 */
    int pipe;                        /* of the link, to sleep on: readable when there is work; -1 */
    struct pronghorn_welcome welcome;
    void *memory;                    /* of the link */
    size_t memory_octets;
    int numbers[PRELOAD_PIPES + 4];  /* hidden numbers of the link, to be closed with it */
    int number_count;
};
extern struct process process;

/* Take the process's one lock. False: this thread has it already (a signal handler calls in, in the middle of a call);
 * the caller fails with EAGAIN. */
bool lock(void);
void unlock(void);
/* Let others in, when they wait, and take the lock again. */
void lock_yield(void);

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

bool port_is_wanted(int port); /* PRONGHORN_ONLY_PORTS */

/* The engine, attached if need be; NULL, and reported, when it cannot be. Lock held. */
struct pronghorn_worker *attach(void);
/* In a forked child, before anything else: the lock is free, the engine is dead and forgotten (its memory unmapped, the
 * numbers of the old link closed), the next call that needs it attaches anew with `process.parent` set. */
void process_forked(pid_t parent);
void attach_forked(pid_t parent);
/* Before the first connection is opened: until the other side of the link answers, for some time. Lock held. */
void await_link(void);
/* Turn, and wait until the other side has taken what lies on the link, for some time: it is judged, or lost, by what is so
 * when it is taken. Lock held. */
void await_taken(void);
/* Whether an address of the other family is ours, or lies behind the link. */
bool is_own(const struct pronghorn_address *address);
bool is_reached(const struct pronghorn_address *address);
/* Ask the gateway: 0, or minus an errno. Nothing to do on a link without Claims. Lock held. */
int claim(int kind, int flags, int protocol, int family, const struct pronghorn_address *own);
/* A connection that another process handed over is received here from now on. */
int claim_take(const struct pronghorn_address *own, const struct pronghorn_address *far);
/* Some of the new connections of a listener that several processes have claimed are for this one, from now on. */
int claim_part(int protocol, int family, const struct pronghorn_address *own);

/* Say once per `key` (a short constant) on standard error what could not be ours, and why. */
__attribute__((format(printf, 2, 3))) void report(const char *key, const char *format, ...);

int64_t clock_now(void); /* CLOCK_MONOTONIC, ns: what the engine's clock is as well */

/* --- descriptors.c ---------------------------------------------------------------------------------------------- */

#define DESCRIPTORS (1 << 20) /* numbers from here on are never ours */

enum path {
    PATH_UNDECIDED, /* a socket that is neither bound nor connected: the kernel's so far, options are remembered */
    PATH_KERNEL,    /* a socket that stays the kernel's */
    PATH_EPOLL,     /* an epoll set (epoll.c) */
    PATH_HIDDEN,    /* a number that we use ourselves: the program cannot close it */
    PATH_OURS,      /* the engine's */
    PATH_BOTH,      /* the engine's and the kernel's: wildcard listeners, datagram sockets */
};

/* An open file description: what dup() shares. */
struct description {
    uint8_t path;
    uint8_t family;      /* AF_INET, AF_INET6 */
    uint8_t type;        /* SOCK_STREAM, SOCK_DGRAM */
    bool listening;
    bool connected;      /* a stream: connect was called; a datagram socket: it has an other side */
    bool placeholder;    /* the kernel's side of the number is a shared placeholder: its flags say nothing */
    bool fixed;          /* bind has decided the path: no datagram changes it */
    uint8_t claimed;     /* family that the gateway was asked for at its address and port: 4, 6, 10 (both). 0: it was not */
    bool inherited;      /* a listener that came by fork or exec: claimed as SHARED */
    bool takes_part;     /* a listener, and the gateway knows that this process accepts, whoever else does */
    int users;           /* threads that wait in a call on it */
    int protocol;        /* as getsockopt(SO_PROTOCOL) says */
    int flags;           /* O_NONBLOCK and other file status flags */
    int references;      /* numbers that mean it */
    int fd;              /* one of these numbers */
    int record;          /* in the register; -1 */
    int backlog;
    int64_t handle;      /* the engine's socket, or epoll set; -1 */
    int64_t receive_timeout; /* SO_RCVTIMEO, SO_SNDTIMEO in ns; 0: none */
    int64_t send_timeout;
    struct remembered *options; /* set before the path was decided */
    bool touched;        /* calls before the path was decided may have left something in the kernel's socket */
    uint8_t spare;       /* spares.c's: 1 + the place of the kernel's socket there; 0: it is not there */
    void *epoll;         /* epoll.c's: of an epoll set, the set; of a socket, the sets that watch it. NULL at first */
    bool foreign;        /* came by fork or exec, and was not used yet: the engine knows nothing of it (fork.c) */
    bool handed;         /* a connection that came, or is to come, from the parent */
    bool lost;           /* or that does not come any more */
    int64_t foreign_handle; /* as the parent's engine knows it */
    void *legacy;        /* fork.c's: what a socket that is no connection is opened again from */
    struct shelf *shelf; /* of a datagram socket: what waits that other processes may read instead; NULL */
};

extern struct description *descriptions[DESCRIPTORS];

void turn_meanwhile(void);

/* Of any kind; NULL: not ours. */
static inline struct description *description_of(int fd)
{
    return LIKELY((unsigned)fd < DESCRIPTORS) ? descriptions[fd] : NULL;
}

/* The engine has a socket for this number. NULL: libc's. */
static inline struct description *ours(int fd)
{
    struct description *found = description_of(fd);
    return UNLIKELY(found != NULL) && found->path >= PATH_OURS ? found : NULL;
}

/* A new one with one reference, at `fd`. NULL: no memory, or the number is too large. Lock held. */
struct description *description_new(int fd, enum path path);
/* `fd` means it from now on as well (dup). False: the number is too large. Lock held. */
bool description_share(struct description *description, int fd);
/* The number means it no longer, because it was closed or is about to mean something else. The last one ends it: the
 * engine's socket is closed, epoll sets are told, the record goes. The kernel's number is left alone. Lock held. */
void description_drop(int fd);
/* A call will let go of the lock and go on with the description afterwards; it ends when neither number nor user is
 * left. Lock held. */
static inline void description_use(struct description *description)
{
    description->users++;
}
void description_done(struct description *description);

/* A number that came by fork or exec is used: a listener is opened again, a connection is waited for. 0, or minus an
 * errno. Lock held. */
int fork_adopt(struct description *description);

/* The lock, for a call on `fd`, which was seen to mean it. 0; -EAGAIN: from within; -EBADF: closed meanwhile. Whatever
 * came by fork stays foreign: for calls that do not ask the engine. */
static inline int lock_number(int fd, const struct description *description)
{
    if (UNLIKELY(!lock()))
        return -EAGAIN;
    if (UNLIKELY(++process.calls >= CALLS))
        turn_meanwhile();
    if (LIKELY(descriptions[fd] == description))
        return 0;
    unlock();
    return -EBADF;
}

/* The same; what came by fork or exec is opened again. Other errnos: that was not possible. */
static inline int lock_on(int fd, struct description *description)
{
    int result = lock_number(fd, description);
    if (UNLIKELY(result == 0 && description->foreign) && (result = fork_adopt(description)) != 0)
        unlock();
    return result;
}
/* Called for each description once (not for each number), until it returns false. Lock held. */
void descriptions_each(bool (*visit)(struct description *description, void *context), void *context);
/* A number of our own, moved out of the way; returns the number it has now. Lock held. */
int hide(int fd);
void hide_here(int fd); /* without moving it */
int hide_copy(int fd);  /* a hidden duplicate, or -1: there is no room for such */
void unhide_close(int fd);
int descriptions_end(void); /* numbers from here on are not in the table */

/* The engine's EPOLL* events of the socket now, or of an epoll set; 0 when the engine has none. PATH_BOTH: the kernel's
 * side has to be asked as well (poll the number itself). Lock held. */
uint32_t description_events(struct description *description);

/* --- signals.c --------------------------------------------------------------------------------------------------- */

/* A thread's handlers that have run, counted. */
struct interruptions {
    unsigned handled, ending;           /* all; those that were set without SA_RESTART */
    unsigned handled_then, ending_then; /* when the wait began */
    struct timespec *nap;               /* what the thread is about to sleep: a handler makes it nothing; NULL */
};
extern __thread volatile struct interruptions interruptions __attribute__((tls_model("initial-exec")));

void signals_begin(void); /* after attaching */

static inline bool interrupted(void)
{
    return UNLIKELY(interruptions.handled != interruptions.handled_then);
}

/* --- turn.c ----------------------------------------------------------------------------------------------------- */

/* Whether what was waited for is so. Called with the lock held, often: it must be cheap. */
typedef bool condition(void *context);

#define FOREVER (-1)

/* Wait until the condition holds, `deadline` (clock_now; FOREVER; 0: only look, after one turn) has passed, one of the
 * kernel's descriptors is ready (may be none: NULL, 0), or a signal comes. Turns the stack, spins, then sleeps, as the
 * thread model says. `mask`: signals while sleeping, as ppoll's; NULL. Lock held on entry and exit, free in between.
 * Returns 1: holds; 2: a kernel descriptor is ready (its revents are set); 0: the deadline; -EINTR. */
int wait_until(condition *met, void *context, int64_t deadline, struct pollfd *kernel, nfds_t count,
               const sigset_t *mask);

/* One turn of the stack, now; wakes threads whose conditions hold. Lock held. */
void turn(void);
/* Something was given to the engine that calls for a turn (a send, a close): turns at once, or soon, as is best for the
 * description. Lock held. */
void turn_after(struct description *description);
/* A call that may not wait has found nothing: true: the stack was turned, it may look again. Lock held. */
bool turn_late(void);
/* What a signal that ended a sleep means for read(), accept() and the like: true: go on sleeping (SA_RESTART). */
bool restarts(void);
void turn_begin(void);  /* after attaching */
void turn_end(void);    /* the process ends: what was sent is to arrive */
void turn_forked(void); /* in a forked child: no thread waits or turns any more */

/* Wait until the engine's socket has one of the EPOLL* events: for a blocking call. `timeout` ns, 0: none. Lock held.
 * 0: it has (or its kernel's side, of PATH_BOTH, with `kernel` events); -EAGAIN: too late; -EINTR. */
int wait_for_events(struct description *description, uint32_t events, short kernel, int64_t timeout);

/* --- paths.c, calls.c ---------------------------------------------------------------------------------------------------- */

void address_out(struct description *description, const struct pronghorn_address *from, struct sockaddr *address,
                 socklen_t *room);
/* 0, or minus an errno. */
int address_in(struct description *description, const struct sockaddr *address, socklen_t octets,
               struct pronghorn_address *to);
/* A socket of the engine's behind the description, with its remembered options. 0, or minus an errno. Lock held. */
int open_ours(struct description *description);
int claim_name(struct description *description, int kind); /* 0, or minus an errno */
const char *path_of(struct description *description, const struct pronghorn_address *address, bool local);
int fall_back(struct description *description, const char *why, int error);
bool is_any(const struct pronghorn_address *address);
/* The path is decided: epoll sets and the register are told. Lock held. */
void decide(struct description *description, enum path path, const char *why);
void close_ours(struct description *description); /* the engine's socket, and its Claim */
void forget_options(struct description *description);
void apply_options(struct description *description);

static inline int fail(int64_t error) /* minus an errno, as libc says it */
{
    errno = (int)-error;
    return -1;
}

/* --- spares.c ---------------------------------------------------------------------------------------------------- */

/* Lock held, all of them. A number for a new stream socket, and its place; -1: there is none, ask the kernel. */
int spare_take(int family, bool on_exec, int *place);
void spare_keep(int fd, struct description *description);   /* the number is about to be closed */
void spare_settle(struct description *description);         /* the kernel takes the socket */
void spare_let_go(struct description *description);
void spares_forget(void);                                   /* before a fork: two processes would have them */

/* --- register.c ------------------------------------------------------------------------------------------------- */

void register_update(struct description *description, const char *why); /* lock held; why NULL: as before */
void register_drop(struct description *description);
void register_open(void); /* before the process may no longer: the table is there from now on */
void register_forked(void);

/* --- epoll.c ---------------------------------------------------------------------------------------------------- */

/* Lock held, all of them. */
void epoll_decided(struct description *description); /* its path has changed; sets that watch it may have to move it */
void epoll_gone(struct description *description);    /* a socket's, or a set's, last number was closed */
void epoll_forked(struct description *description);  /* in a forked child: the engine's sets are gone */

/* --- fork.c ----------------------------------------------------------------------------------------------------- */

extern bool fork_inherits; /* some descriptions are foreign */
extern unsigned fork_count; /* forks of this process and of those that it comes from, since the program began */
void fork_begin(void);      /* when the settings are known */
/* Its last number was closed. True: a forked child has the connection now, or it was not ours. Lock held. */
bool fork_give(struct description *description);
extern int fork_given;      /* connections that were given to children, and not taken yet */
extern int64_t fork_looked; /* when fork_look was last called */
extern bool fork_busy;      /* there is something to do in turns: */
int fork_turn(int64_t now); /* how much was done. Lock held */
int64_t fork_rest(int64_t rest); /* ns that the process may sleep */
void fork_look(void);       /* what children say; who has ended, or never takes what was given. Lock held */
void fork_take_part(struct description *listener); /* whoever waits for a listener serves it. Lock held */

/* --- shelves.c. Lock held, all of them ---------------------------------------------------------------------------- */

extern int shelves; /* descriptions that have one */
/* What others have read waits here no longer. */
void shelf_look(struct description *description);
void shelves_look(void);
/* The first datagram is this process's to read, and nobody else's; false: none of those that are shared is left. */
bool shelf_claim(struct description *description);
void shelf_pass(struct description *description);    /* it was read */
void shelf_unclaim(struct description *description); /* it could not be */
void shelf_free(struct description *description);

#endif
