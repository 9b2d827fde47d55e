/*
 * fork and exec (docs/adr/0013-accelerated-programs.md). A forked child's copy of the engine is dead; what it inherits is
 * foreign until it is used:
 *
 *     a listener, a bound datagram socket   opened again in an engine of the child's own, and claimed as SHARED
 *     a connection                          the parent's, until that closes its last number of it; then it is handed over
 *     what waits in a datagram socket       whoever reads it first (shelves.c)
 *
 *   parent                                      child
 *     close(), and a child may still have it
 *     give, GIVEN with a memfd   ------------>    waits for it at its first use of the number
 *     the four-tuple is kept in TIME-WAIT         attaches, claims TAKE, takes
 *     forgets the memfd          <------------  TAKEN
 *     takes it back and closes   <------------  CLOSED, or the child's end, or a minute (PRONGHORN_LEAVE) without a word
 *
 * Each fork of a parent with connections makes one socket pair for that. Who opened a listener gets no
 * new connections of it once a child serves it, unless it waits for it as well (fork_take_part). exec leaves a memfd of the listeners that are not
 * close-on-exec, in PRONGHORN_INHERIT; the new image finds them foreign, as after a fork.
 *
 * Left out: a connection does not survive exec; several processes that use one connection at the same time; a child that
 * has parcels waiting and forks itself. vfork is fork: what runs before exec would otherwise write to the parent's tables.
 */
#include "fork.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

bool fork_inherits;
unsigned fork_count;

static struct heir *coming; /* of the fork that is under way */
static int pair[2] = {-1, -1};
static pid_t own_pid;
static bool holds;

static bool count_connection(struct description *description, void *context)
{
    if (is_connection(description) && description->handle >= 0 && !description->foreign)
        ++*(int *)context;
    return true;
}

static bool share_connection(struct description *description, void *unused)
{
    (void)unused;
    if (is_connection(description) && description->handle >= 0 && !description->foreign)
        coming->shares[coming->count++] = (struct share){.handle = description->handle, .parcel = -1, .held = true};
    return true;
}

static bool fill_shelf(struct description *description, void *unused)
{
    (void)unused;
    shelf_fill(description);
    return true;
}

static void before_fork(void)
{
    if (!process.enabled)
        return;
    holds = lock();
    int count = 0;
    if (holds)
        spares_forget();
    if (holds && process.worker != NULL)
        descriptions_each(fill_shelf, NULL);
    if (!holds || process.worker == NULL || (process.welcome.flags & PRONGHORN_WELCOME_CLAIMS) == 0)
        return;
    fork_look();
    descriptions_each(count_connection, &count);
    if (count == 0 || (coming = malloc(sizeof *coming + (size_t)count * sizeof(struct share))) == NULL)
        return;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        free(coming);
        coming = NULL;
        return;
    }
    coming->count = 0;
    descriptions_each(share_connection, NULL);
    qsort(coming->shares, (size_t)coming->count, sizeof coming->shares[0], compare_shares);
}

static void in_parent(void)
{
    if (!process.enabled)
        return;
    fork_count++;
    if (coming != NULL) {
        LIBC->close(pair[1]);
        coming->fd = hide(pair[0]);
        coming->next = heirs;
        heirs = coming;
        coming = NULL;
    }
    if (holds)
        unlock();
}

static bool inherit(struct description *description, void *unused)
{
    (void)unused;
    epoll_forked(description);
    description->users = 0;
    if (description->path < PATH_OURS || description->foreign)
        return true;
    if (!is_connection(description) && process.worker != NULL) {
        struct legacy *legacy = malloc(sizeof *legacy);
        if (legacy != NULL)
            write_down(description, legacy);
        if (legacy != NULL)
            shelf_inherit(description, legacy);
        description->legacy = legacy;
    }
    description->foreign_handle = description->handle;
    description->handed = is_connection(description);
    description->handle = -1;
    description->foreign = fork_inherits = true;
    return true;
}

static void in_child(void)
{
    if (!process.enabled)
        return;
    pid_t parent = own_pid;
    own_pid = getpid();
    fork_count++;
    fork_given = 0;
    descriptions_each(inherit, NULL);
    for (struct heir *heir; (heir = heirs) != NULL;) {
        heirs = heir->next;
        unhide_close(heir->fd);
        for (int number = 0; number < heir->count; number++)
            if (heir->shares[number].parcel >= 0)
                unhide_close(heir->shares[number].parcel);
        free(heir);
    }
    if (testator >= 0)
        unhide_close(testator);
    testator = -1;
    if (coming != NULL) {
        LIBC->close(pair[0]);
        testator = hide(pair[1]);
        free(coming);
        coming = NULL;
    }
    process_forked(parent);
}

EXPORT pid_t vfork(void)
{
    return process.enabled ? fork() : LIBC->fork();
}

/* When the settings are known. */
void fork_begin(void)
{
    own_pid = getpid();
    give_begin();
    pthread_atfork(before_fork, in_parent, in_child);
    read_testament();
}
