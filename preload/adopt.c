/*
 * What came by fork or exec is used: listeners and bound datagram sockets are opened again in this process's engine,
 * connections are waited for and taken (fork.c says how all of it goes together).
 */
#include "fork.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE 10000 /* ms that a child waits for its parent to close a connection */
#define SUCCESSION 2000 /* ms that a child waits for its parent to leave a direct link */

static const struct {
    int level, name;
} kept[PRELOAD_KEPT] = {
    {SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_REUSEPORT}, {SOL_SOCKET, SO_KEEPALIVE}, {IPPROTO_IPV6, IPV6_V6ONLY},
    {IPPROTO_TCP, TCP_NODELAY}, {IPPROTO_TCP, TCP_DEFER_ACCEPT}, {IPPROTO_TCP, TCP_FASTOPEN}, {SOL_SOCKET, SO_BROADCAST},
};

int testator = -1;
static struct parcel *parcels;

void write_down(struct description *description, struct legacy *legacy)
{
    memset(legacy, 0, sizeof *legacy);
    legacy->handle = description->handle;
    legacy->listening = description->listening;
    legacy->connected = description->connected;
    legacy->bound = pronghorn_socket_name(process.worker, description->handle, &legacy->own) == 0 && legacy->own.port != 0;
    if (legacy->connected)
        legacy->connected = pronghorn_peer_name(process.worker, description->handle, &legacy->far) == 0;
    for (size_t place = 0; place < PRELOAD_KEPT; place++) {
        int value = 0;
        int64_t octets = pronghorn_get_option(process.worker, description->handle, kept[place].level, kept[place].name,
                                              (int64_t)(uintptr_t)&value, sizeof value);
        legacy->values[place] = octets == (int64_t)sizeof value ? value : -1;
    }
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

void fork_take_part(struct description *listener)
{
    struct pronghorn_address own;
    if (listener->takes_part || listener->claimed == 0 || !listener->listening || process.worker == NULL ||
        pronghorn_socket_name(process.worker, listener->handle, &own) != 0)
        return;
    listener->takes_part = true;
    claim_part(listener->protocol, listener->claimed, &own);
}

static int open_again(struct description *description, const struct legacy *legacy)
{
    struct pronghorn_address own = legacy->own, far = legacy->far;
    description->handle = -1;
    int result = open_ours(description);
    for (size_t place = 0; result == 0 && place < PRELOAD_KEPT; place++)
        if (legacy->values[place] > 0)
            pronghorn_set_option(process.worker, description->handle, kept[place].level, kept[place].name,
                                 (int64_t)(uintptr_t)&legacy->values[place], sizeof(int));
    description->inherited = true;
    description->claimed = 0;
    description->takes_part = false;
    if (result == 0 && legacy->bound) {
        result = (int)pronghorn_bind(process.worker, description->handle, &own);
        if (result == 0)
            result = claim_name(description, legacy->listening ? PRONGHORN_CLAIM_LISTEN : PRONGHORN_CLAIM_BIND);
    }
    if (result == 0 && legacy->listening)
        result = (int)pronghorn_listen(process.worker, description->handle, description->backlog);
    if (result == 0)
        fork_take_part(description);
    if (result == 0 && legacy->connected && description->type == SOCK_DGRAM)
        result = (int)pronghorn_connect(process.worker, description->handle, &far);
    if (result == 0)
        shelf_unpack(description, legacy);
    else
        shelf_free(description);
    if (result != 0 && description->handle >= 0)
        close_ours(description);
    return result;
}

static int adopt_socket(struct description *description)
{
    struct legacy *legacy = description->legacy;
    bool attached = attach_after();
    description->foreign = false;
    int result = attached ? open_again(description, legacy) : -ENETDOWN;
    description->legacy = NULL;
    legacy_free(legacy);
    if (!attached)
        shelf_free(description);
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

void tell(int fd, uint32_t kind, int64_t handle)
{
    struct note note = {.kind = kind, .handle = handle};
    if (fd >= 0)
        LIBC->send(fd, &note, sizeof note, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A parcel goes onto the list, a stray to the others. */
bool receive_parcel(int ms)
{
    static uint64_t frame[(sizeof(struct pronghorn_stray) + (1 << 16) + 1024) / sizeof(uint64_t)];
    union {
        char octets[CMSG_SPACE(sizeof(int))];
        struct cmsghdr head;
    } extra;
    struct note note;
    struct iovec parts[2] = {{&note, sizeof note}, {frame, sizeof frame}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = &extra, .msg_controllen = sizeof extra};
    struct pollfd side = {.fd = testator, .events = POLLIN};
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    if (testator < 0 || LIBC->ppoll(&side, 1, &time, NULL) <= 0)
        return false;
    ssize_t octets = LIBC->recvmsg(testator, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (octets > (ssize_t)sizeof note && note.kind == STRAY && (message.msg_flags & MSG_TRUNC) == 0) {
        stray_came(note.handle, frame, (size_t)octets - sizeof note);
        return true;
    }
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
    int64_t result = parcel->own.family == 0 ? -ECONNRESET /* void: it was waited for too long */
                                             : claim_take(&parcel->own, &parcel->far);
    if (result == 0)
        result = pronghorn_take(process.worker, parcel, octets);
    munmap(parcel, octets);
    return result;
}

static int adopt_connection(struct description *description)
{
    int64_t handle = description->foreign_handle, result;
    struct parcel *parcel = NULL;
    if (description->lost)
        return -ECONNRESET;
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
        description->lost = result != -ETIMEDOUT;
        return -ECONNRESET;
    }
    tell(testator, TAKEN, handle);
    description->foreign = false;
    description->handle = result;
    strays_taken(handle);
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

