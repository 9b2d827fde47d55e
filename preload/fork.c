/*
 * fork and exec (docs/adr/0013-accelerated-programs.md). A forked child's copy of the engine is dead; what it inherits is
 * foreign until it is used:
 *
 *     a listener, a bound datagram socket   opened again in an engine of the child's own, and claimed as SHARED
 *     a connection                          the parent's, until that closes its last number of it; then it is handed over
 *
 *   parent                                      child
 *     close(), and a child may still have it
 *     give, GIVEN with a memfd   ------------>    waits for it at its first use of the number
 *     the four-tuple is kept in TIME-WAIT         attaches, claims TAKE, takes
 *     forgets the memfd          <------------  TAKEN
 *     takes it back and closes   <------------  CLOSED, or the child's end
 *
 * Each fork of a parent with connections makes one socket pair for that. exec leaves a memfd of the listeners that are not
 * close-on-exec, in PRONGHORN_INHERIT; the new image finds them foreign, as after a fork.
 *
 * Left out: a connection does not survive exec; several processes that use one connection at the same time; a child that
 * has parcels waiting and forks itself. vfork is fork: what runs before exec would otherwise write to the parent's tables.
 */
#include "preload.h"

#include <alloca.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

#define PATIENCE 10000 /* ms that a child waits for its parent to close a connection */
#define SUCCESSION 2000 /* ms that a child waits for its parent to leave a direct link */
#define INHERIT "PRONGHORN_INHERIT"

enum { GIVEN = 1, TAKEN, CLOSED };

struct note { /* of the socket pair */
    uint32_t kind;
    uint32_t octets;
    int64_t handle; /* as the parent's engine knew it */
};

static const struct {
    int level, name;
} kept[] = {
    {SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_REUSEPORT}, {SOL_SOCKET, SO_KEEPALIVE}, {IPPROTO_IPV6, IPV6_V6ONLY},
    {IPPROTO_TCP, TCP_NODELAY}, {IPPROTO_TCP, TCP_DEFER_ACCEPT}, {IPPROTO_TCP, TCP_FASTOPEN}, {SOL_SOCKET, SO_BROADCAST},
};
#define KEPT (sizeof kept / sizeof kept[0])

/* What is known of a socket that is opened again. */
struct legacy {
    struct pronghorn_address own, far;
    int values[KEPT]; /* of options; -1: it has none */
    bool bound, connected, listening;
    int64_t handle;
    /* for exec */
    int fd, backlog, flags, protocol;
    uint8_t path, family, type;
};

struct heir { /* a child, as its parent sees it */
    struct heir *next;
    int fd;
    int count;
    struct share {
        int64_t handle;
        int parcel; /* a memfd that was given and not taken; -1 */
        uint32_t octets;
        bool held;
    } shares[];
};

struct parcel { /* that has come, and was not asked for yet */
    struct parcel *next;
    int64_t handle;
    uint32_t octets;
    int fd;
};

bool fork_inherits;

static struct heir *heirs, *coming; /* coming: of the fork that is under way */
static int pair[2] = {-1, -1};
static int testator = -1;           /* in a child: the parent's other end */
static struct parcel *parcels;
static pid_t own_pid;
static bool holds;

/* --- what is kept ------------------------------------------------------------------------------------------------ */

static void write_down(struct description *description, struct legacy *legacy)
{
    memset(legacy, 0, sizeof *legacy);
    legacy->handle = description->handle;
    legacy->listening = description->listening;
    legacy->connected = description->connected;
    legacy->bound = pronghorn_socket_name(process.worker, description->handle, &legacy->own) == 0 && legacy->own.port != 0;
    if (legacy->connected)
        legacy->connected = pronghorn_peer_name(process.worker, description->handle, &legacy->far) == 0;
    for (size_t place = 0; place < KEPT; place++) {
        int value = 0;
        int64_t octets = pronghorn_get_option(process.worker, description->handle, kept[place].level, kept[place].name,
                                              (int64_t)(uintptr_t)&value, sizeof value);
        legacy->values[place] = octets == (int64_t)sizeof value ? value : -1;
    }
}

static bool is_connection(const struct description *description)
{
    return description->path == PATH_OURS && description->type == SOCK_STREAM && !description->listening;
}

/* --- adopting: in the child -------------------------------------------------------------------------------------- */

/* On a direct link there is one process at each end; a parent that is about to leave makes way. */
static bool attach_after(void)
{
    static bool waited;
    if (!waited && process.attach_path == NULL) {
        waited = process.patient = true;
        for (int ms = 0; ms < SUCCESSION && attach() == NULL && !process.refused; ms += 10)
            usleep(10000);
        process.patient = false;
    }
    return attach() != NULL;
}

static int open_again(struct description *description, const struct legacy *legacy)
{
    struct pronghorn_address own = legacy->own, far = legacy->far;
    description->handle = -1;
    int result = open_ours(description);
    for (size_t place = 0; result == 0 && place < KEPT; place++)
        if (legacy->values[place] > 0)
            pronghorn_set_option(process.worker, description->handle, kept[place].level, kept[place].name,
                                 (int64_t)(uintptr_t)&legacy->values[place], sizeof(int));
    description->inherited = true;
    description->claimed = false;
    if (result == 0 && legacy->bound) {
        result = (int)pronghorn_bind(process.worker, description->handle, &own);
        if (result == 0)
            result = claim_name(description, legacy->listening ? PRONGHORN_CLAIM_LISTEN : PRONGHORN_CLAIM_BIND);
    }
    if (result == 0 && legacy->listening)
        result = (int)pronghorn_listen(process.worker, description->handle, description->backlog);
    if (result == 0 && legacy->connected && description->type == SOCK_DGRAM)
        result = (int)pronghorn_connect(process.worker, description->handle, &far);
    if (result != 0 && description->handle >= 0)
        close_ours(description);
    return result;
}

static int adopt_socket(struct description *description)
{
    struct legacy *legacy = description->legacy;
    int result = attach_after() ? open_again(description, legacy) : -ENETDOWN;
    description->foreign = false;
    description->legacy = NULL;
    free(legacy);
    if (result == 0) {
        epoll_decided(description);
        register_update(description, "inherited");
        return 0;
    }
    report("inherited", "an inherited socket could not be opened again: %s", strerror(-result));
    bool both = description->path == PATH_BOTH && !process.strict;
    decide(description, both ? PATH_KERNEL : PATH_UNDECIDED, "inherited, and not opened again");
    return both ? -EINTR : result; /* the call is made again, on the kernel's */
}

static void tell(int fd, uint32_t kind, int64_t handle)
{
    struct note note = {.kind = kind, .handle = handle};
    if (fd >= 0)
        LIBC->send(fd, &note, sizeof note, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The next parcel from the parent onto the list. False: none comes any more. */
static bool receive_parcel(int ms)
{
    union {
        char octets[CMSG_SPACE(sizeof(int))];
        struct cmsghdr head;
    } extra;
    struct note note;
    struct iovec part = {&note, sizeof note};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &extra, .msg_controllen = sizeof extra};
    struct pollfd side = {.fd = testator, .events = POLLIN};
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    if (testator < 0 || LIBC->ppoll(&side, 1, &time, NULL) <= 0)
        return false;
    ssize_t octets = LIBC->recvmsg(testator, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct cmsghdr *head = octets == sizeof note ? CMSG_FIRSTHDR(&message) : NULL;
    struct parcel *made = head != NULL && head->cmsg_type == SCM_RIGHTS ? malloc(sizeof *made) : NULL;
    if (made == NULL)
        return false;
    memcpy(&made->fd, CMSG_DATA(head), sizeof made->fd);
    made->handle = note.handle;
    made->octets = note.octets;
    made->next = parcels;
    parcels = made;
    return true;
}

static struct parcel *take_parcel(int64_t handle)
{
    for (;;) {
        for (struct parcel **place = &parcels; *place != NULL; place = &(*place)->next)
            if ((*place)->handle == handle) {
                struct parcel *found = *place;
                *place = found->next;
                return found;
            }
        if (!receive_parcel(PATIENCE))
            return NULL;
    }
}

/* The connection that lies in the memfd becomes the engine's: its handle, or minus an errno. */
static int64_t unpack(int fd, uint32_t octets)
{
    struct stat facts;
    if (octets < sizeof(struct pronghorn_parcel) || fstat(fd, &facts) != 0 || facts.st_size < (off_t)octets)
        return -EPROTO;
    struct pronghorn_parcel *parcel = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (parcel == MAP_FAILED)
        return -errno;
    int64_t result = claim_take(&parcel->own, &parcel->far);
    if (result == 0)
        result = pronghorn_take(process.worker, parcel, octets);
    munmap(parcel, octets);
    return result;
}

static int adopt_connection(struct description *description)
{
    int64_t handle = description->foreign_handle, result;
    struct parcel *parcel = NULL;
    if (process.attach_path == NULL)
        result = -EOPNOTSUPP;
    else if ((parcel = take_parcel(handle)) == NULL)
        result = -ETIMEDOUT;
    else if (attach() == NULL)
        result = -ENETDOWN;
    else
        result = unpack(parcel->fd, parcel->octets);
    if (parcel != NULL) {
        LIBC->close(parcel->fd);
        free(parcel);
    }
    if (result < 0) {
        report("handed", "process %d cannot use a connection that it inherited by fork: %s", (int)getpid(),
               result == -EOPNOTSUPP  ? "a direct link has one process at each end"
               : result == -ETIMEDOUT ? "its parent goes on holding it"
                                      : strerror((int)-result));
        return -ECONNRESET;
    }
    tell(testator, TAKEN, handle);
    description->foreign = false;
    description->handle = result;
    epoll_decided(description);
    register_update(description, "handed over");
    turn_after(description);
    return 0;
}

int fork_adopt(struct description *description)
{
    int error = errno;
    int result = is_connection(description) && description->legacy == NULL ? adopt_connection(description)
                                                                           : adopt_socket(description);
    errno = error;
    return result;
}

/* --- giving: in the parent --------------------------------------------------------------------------------------- */

/* The child will not use it: the connection ends as if there were no child. */
static void take_back(struct share *share)
{
    share->held = false;
    if (share->parcel < 0)
        return;
    struct pronghorn_parcel *parcel = mmap(NULL, share->octets, PROT_READ | PROT_WRITE, MAP_SHARED, share->parcel, 0);
    if (parcel != MAP_FAILED && process.worker != NULL) {
        int64_t handle = pronghorn_take(process.worker, parcel, share->octets);
        if (handle >= 0)
            pronghorn_close_socket(process.worker, handle);
        munmap(parcel, share->octets);
    }
    unhide_close(share->parcel);
    share->parcel = -1;
}

static int compare(const void *one, const void *other)
{
    int64_t a = ((const struct share *)one)->handle, b = ((const struct share *)other)->handle;
    return a < b ? -1 : a > b;
}

static struct share *share_of(struct heir *heir, int64_t handle)
{
    struct share key = {.handle = handle};
    return bsearch(&key, heir->shares, (size_t)heir->count, sizeof key, compare);
}

/* What the child has said. False: it is gone, and so is its record's reason to be. */
static bool hear(struct heir *heir)
{
    struct note note;
    ssize_t octets;
    while ((octets = LIBC->recv(heir->fd, &note, sizeof note, MSG_DONTWAIT)) == sizeof note) {
        struct share *share = share_of(heir, note.handle);
        if (share == NULL)
            continue;
        if (note.kind == TAKEN && share->parcel >= 0) {
            unhide_close(share->parcel);
            share->parcel = -1;
        } else if (note.kind == CLOSED) {
            take_back(share);
        }
    }
    return octets < 0 && (errno == EAGAIN || errno == EINTR);
}

void fork_look(void)
{
    int error = errno;
    for (struct heir **place = &heirs; *place != NULL;) {
        struct heir *heir = *place;
        if (hear(heir)) {
            place = &heir->next;
            continue;
        }
        for (int number = 0; number < heir->count; number++)
            take_back(&heir->shares[number]);
        *place = heir->next;
        unhide_close(heir->fd);
        free(heir);
    }
    errno = error;
}

bool fork_has_heirs(void)
{
    return heirs != NULL;
}

static bool send_parcel(struct heir *heir, struct share *share)
{
    union {
        char octets[CMSG_SPACE(sizeof(int))];
        struct cmsghdr head;
    } extra = {{0}};
    struct note note = {.kind = GIVEN, .octets = share->octets, .handle = share->handle};
    struct iovec part = {&note, sizeof note};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &extra, .msg_controllen = sizeof extra};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &share->parcel, sizeof share->parcel);
    return LIBC->sendmsg(heir->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof note;
}

/* The connection into a memfd, which the share has then. */
static bool pack(struct description *description, struct share *share)
{
    int64_t octets = pronghorn_give_octets(process.worker, description->handle);
    int fd = octets > 0 ? memfd_create("pronghorn-parcel", MFD_CLOEXEC) : -1;
    if (fd < 0)
        return false;
    void *memory = ftruncate(fd, octets) == 0 ? mmap(NULL, (size_t)octets, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                                              : MAP_FAILED;
    int64_t given = -ENOMEM;
    if (memory != MAP_FAILED) {
        given = pronghorn_give(process.worker, description->handle, (int64_t)(uintptr_t)memory, octets);
        munmap(memory, (size_t)octets);
    }
    if (given < 0) {
        LIBC->close(fd);
        return false;
    }
    share->parcel = hide(fd);
    share->octets = (uint32_t)given;
    return true;
}

bool fork_give(struct description *description)
{
    if (description->foreign) { /* in a child */
        if (description->legacy == NULL)
            tell(testator, CLOSED, description->foreign_handle);
        free(description->legacy);
        description->legacy = NULL;
        return true;
    }
    if (LIKELY(heirs == NULL) || process.worker == NULL || !is_connection(description) || description->handle < 0)
        return false;
    fork_look();
    for (struct heir *heir = heirs; heir != NULL; heir = heir->next) {
        struct share *share = share_of(heir, description->handle);
        if (share == NULL || !share->held || share->parcel >= 0)
            continue;
        if (!pack(description, share))
            return false;
        description->handle = -1;
        if (!send_parcel(heir, share))
            take_back(share);
        return true;
    }
    return false;
}

/* --- fork -------------------------------------------------------------------------------------------------------- */

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

static void before_fork(void)
{
    if (!process.enabled)
        return;
    holds = lock();
    int count = 0;
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
    qsort(coming->shares, (size_t)coming->count, sizeof coming->shares[0], compare);
}

static void in_parent(void)
{
    if (!process.enabled)
        return;
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
        description->legacy = legacy;
    }
    description->foreign_handle = description->handle;
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

/* --- exec -------------------------------------------------------------------------------------------------------- */

struct testament {
    int fd;   /* the memfd; -1 */
    int lost; /* connections that the new image would have had */
};

/* No lock, no allocation: nothing of the process is changed, as exec may fail. */
static bool bequeath(struct description *description, void *context)
{
    struct testament *testament = context;
    struct legacy legacy;
    if (description->path < PATH_OURS)
        return true;
    int end = descriptions_end(), fd = 0;
    while (fd < end && (descriptions[fd] != description || (LIBC->fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0))
        fd++;
    if (fd == end)
        return true;
    if (is_connection(description)) {
        testament->lost++;
        return true;
    }
    if (description->foreign && description->legacy != NULL)
        legacy = *(struct legacy *)description->legacy;
    else if (description->handle >= 0 && process.worker != NULL)
        write_down(description, &legacy);
    else
        return true;
    for (; fd < end; fd++) {
        if (descriptions[fd] != description || (LIBC->fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0)
            continue;
        legacy.fd = fd;
        legacy.backlog = description->backlog;
        legacy.flags = description->flags;
        legacy.protocol = description->protocol;
        legacy.path = description->path;
        legacy.family = description->family;
        legacy.type = description->type;
        if (testament->fd < 0)
            testament->fd = memfd_create("pronghorn-inherit", 0);
        if (testament->fd >= 0 && LIBC->write(testament->fd, &legacy, sizeof legacy) != sizeof legacy)
            return false;
    }
    return true;
}

static int entries(char *const *list)
{
    int count = 0;
    while (list != NULL && list[count] != NULL)
        count++;
    return count;
}

static int make_testament(void)
{
    struct testament testament = {.fd = -1};
    if (process.enabled)
        descriptions_each(bequeath, &testament);
    if (testament.lost != 0)
        report("exec", "exec ends %d connection(s): the new program cannot take them over", testament.lost);
    return testament.fd;
}

/* `room` has place for all of `list` and two more. */
static char *const *with_testament(int fd, char *const *list, char **room, char *text)
{
    if (fd < 0)
        return list;
    int count = 0;
    for (int place = 0; list != NULL && list[place] != NULL; place++)
        if (strncmp(list[place], INHERIT "=", sizeof INHERIT) != 0)
            room[count++] = list[place];
    sprintf(text, INHERIT "=%d", fd);
    room[count++] = text;
    room[count] = NULL;
    return room;
}

#define EXECUTE(list, call)                                                                                            \
    do {                                                                                                               \
        int testament = make_testament();                                                                              \
        char text[sizeof INHERIT + 16];                                                                                \
        char **room = alloca(((size_t)entries(list) + 2) * sizeof *room);                                              \
        char *const *environment = with_testament(testament, list, room, text);                                        \
        int result = call;                                                                                             \
        int error = errno;                                                                                             \
        if (testament >= 0)                                                                                            \
            LIBC->close(testament);                                                                                    \
        errno = error;                                                                                                 \
        return result;                                                                                                 \
    } while (0)

EXPORT int execve(const char *path, char *const *arguments, char *const *list)
{
    EXECUTE(list, LIBC->execve(path, arguments, environment));
}

EXPORT int execvpe(const char *file, char *const *arguments, char *const *list)
{
    EXECUTE(list, LIBC->execvpe(file, arguments, environment));
}

EXPORT int fexecve(int fd, char *const *arguments, char *const *list)
{
    EXECUTE(list, LIBC->fexecve(fd, arguments, environment));
}

EXPORT int execv(const char *path, char *const *arguments)
{
    return execve(path, arguments, environ);
}

EXPORT int execvp(const char *file, char *const *arguments)
{
    return execvpe(file, arguments, environ);
}

/* The arguments of execl and its kind, up to and with NULL; `last` is the list behind the first. */
#define GATHER(first, last)                                                                                            \
    va_list last, copy;                                                                                                \
    va_start(last, first);                                                                                             \
    va_copy(copy, last);                                                                                               \
    int count = 1;                                                                                                     \
    for (const char *each = first; each != NULL; each = va_arg(copy, const char *))                                    \
        count++;                                                                                                       \
    va_end(copy);                                                                                                      \
    char **arguments = alloca((size_t)count * sizeof *arguments);                                                      \
    arguments[0] = (char *)first;                                                                                      \
    for (int place = 1; place < count; place++)                                                                        \
        arguments[place] = va_arg(last, char *)

EXPORT int execl(const char *path, const char *first, ...)
{
    GATHER(first, rest);
    va_end(rest);
    return execve(path, arguments, environ);
}

EXPORT int execlp(const char *file, const char *first, ...)
{
    GATHER(first, rest);
    va_end(rest);
    return execvpe(file, arguments, environ);
}

EXPORT int execle(const char *path, const char *first, ...)
{
    GATHER(first, rest);
    char **list = va_arg(rest, char **);
    va_end(rest);
    return execve(path, arguments, list);
}

/* What the image before has left. */
static void read_testament(int fd)
{
    struct legacy legacy;
    if (lseek(fd, 0, SEEK_SET) != 0)
        return;
    while (LIBC->read(fd, &legacy, sizeof legacy) == sizeof legacy) {
        struct legacy *copy = malloc(sizeof *copy);
        struct description *made = copy != NULL && fcntl(legacy.fd, F_GETFD) >= 0 && legacy.path >= PATH_OURS &&
                                           legacy.path <= PATH_BOTH
                                       ? description_new(legacy.fd, legacy.path)
                                       : NULL;
        if (made == NULL) {
            free(copy);
            continue;
        }
        *copy = legacy;
        made->family = legacy.family;
        made->type = legacy.type;
        made->protocol = legacy.protocol;
        made->flags = legacy.flags;
        made->backlog = legacy.backlog;
        made->listening = legacy.listening;
        made->connected = legacy.connected;
        made->fixed = made->inherited = true;
        made->legacy = copy;
        made->foreign = fork_inherits = true;
    }
}

/* After process.c's, which reads the settings: constructors with a priority come first. */
void fork_begin(void)
{
    own_pid = getpid();
    pthread_atfork(before_fork, in_parent, in_child);
    const char *text = getenv(INHERIT);
    if (text == NULL)
        return;
    int fd = atoi(text);
    struct stat facts;
    if (process.enabled && fd > 2 && fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode))
        read_testament(fd);
    if (fd > 2)
        LIBC->close(fd);
    unsetenv(INHERIT);
}
