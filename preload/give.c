/*
 * A parent closes a connection that a forked child may still have: it is given to the child (fork.c says how).
 */
#include "fork.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LEAVE 60 /* seconds that a child may leave a connection alone which was given to it */

struct heir *heirs;
int fork_given;
int64_t fork_looked;
static int64_t leave = LEAVE * SECOND;

/* PRONGHORN_LEAVE: another time, in seconds; 0.001 to a year. */
void give_begin(void)
{
    const char *text = getenv("PRONGHORN_LEAVE");
    char *end = NULL;
    double seconds = text != NULL && *text != 0 ? strtod(text, &end) : LEAVE;
    if (seconds >= 0.001 && seconds <= 365.0 * 86400 && (end == NULL || *end == 0))
        leave = (int64_t)(seconds * SECOND);
    else
        report("leave", "PRONGHORN_LEAVE: '%s' is no number of seconds, 0.001 to a year; %d are taken", text, LEAVE);
}

static void close_parcel(struct share *share)
{
    unhide_close(share->parcel);
    share->parcel = -1;
    fork_given--;
}

/* The child will not use it: the connection ends as if there were no child, whose parcel is void. */
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
        memset(parcel, 0, sizeof *parcel);
        munmap(parcel, share->octets);
    }
    close_parcel(share);
}

static void take_back_late(struct heir *heir, int64_t now)
{
    for (int number = 0; number < heir->count; number++)
        if (heir->shares[number].parcel >= 0 && now - heir->shares[number].since > leave)
            take_back(&heir->shares[number]);
}

int compare_shares(const void *one, const void *other)
{
    int64_t a = ((const struct share *)one)->handle, b = ((const struct share *)other)->handle;
    return a < b ? -1 : a > b;
}

static struct share *share_of(struct heir *heir, int64_t handle)
{
    struct share key = {.handle = handle};
    return bsearch(&key, heir->shares, (size_t)heir->count, sizeof key, compare_shares);
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
            close_parcel(share);
        } else if (note.kind == CLOSED) {
            take_back(share);
        }
    }
    return octets < 0 && (errno == EAGAIN || errno == EINTR);
}

void fork_look(void)
{
    int error = errno;
    fork_looked = clock_now();
    for (struct heir **place = &heirs; *place != NULL;) {
        struct heir *heir = *place;
        if (hear(heir)) {
            if (fork_given != 0)
                take_back_late(heir, fork_looked);
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
        share->own = ((struct pronghorn_parcel *)memory)->own;
        share->far = ((struct pronghorn_parcel *)memory)->far;
        munmap(memory, (size_t)octets);
    }
    if (given < 0) {
        LIBC->close(fd);
        return false;
    }
    share->parcel = hide(fd);
    share->since = clock_now();
    share->given = fork_busy = true;
    fork_given++;
    share->octets = (uint32_t)given;
    return true;
}

bool fork_give(struct description *description)
{
    if (description->foreign) { /* in a child */
        if (description->legacy == NULL)
            tell(testator, CLOSED, description->foreign_handle), strays_forget(description->foreign_handle);
        legacy_free(description->legacy);
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

