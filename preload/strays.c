/*
 * Segments that come to a parent for a connection which its child has by now, or is about to take: between the parent's
 * close and the child's claim the gateway knows nothing of it. The parent's engine keeps them (tcp/strays.py), and they
 * follow the parcel through the socket pair; otherwise the peer's timer would have to run out (200 ms and more).
 *
 *   parent                          child
 *     GIVEN with a memfd  ------>
 *     STRAY with a frame  ------>     kept until the connection is taken, then as if it had come here
 */
#include "fork.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK (SECOND / 4)      /* ns between looks at children that have not taken what was given to them */
#define LATE (SECOND)          /* ns after it has taken a connection that a child looks for strays */
#define SHORT (SECOND / 100)   /* ns that it sleeps at most meanwhile */
#define MOST 64                /* in a turn */
#define KEPT_OCTETS (1 << 18)  /* of all strays that wait for their connection to be taken */

bool fork_busy;
static int64_t taken; /* when a connection was taken last */

static struct kept {
    struct kept *next;
    int64_t handle;
    uint32_t octets;
    uint64_t frame[];
} *first, **last = &first;
static size_t kept_octets;

static uint64_t room[(sizeof(struct pronghorn_stray) + (1 << 16) + 1024) / sizeof(uint64_t)];

/* --- the parent -------------------------------------------------------------------------------------------------- */

static bool is_same(const struct pronghorn_address *one, const struct pronghorn_address *other)
{
    return one->hi == other->hi && one->lo == other->lo && one->port == other->port;
}

static struct share *find(const struct pronghorn_stray *stray, struct heir **whose)
{
    for (struct heir *heir = heirs; heir != NULL; heir = heir->next)
        for (int number = 0; number < heir->count; number++) {
            struct share *share = &heir->shares[number];
            if (share->held && share->given && is_same(&share->own, &stray->own) && is_same(&share->far, &stray->far)) {
                *whose = heir;
                return share;
            }
        }
    return NULL;
}

static void send_strays(void)
{
    int64_t octets;
    for (int count = 0; count < MOST && (octets = pronghorn_take_stray(process.worker, (int64_t)(uintptr_t)room,
                                                                       sizeof room)) != 0; count++) {
        struct heir *heir = NULL;
        struct share *share = octets > 0 ? find((struct pronghorn_stray *)(void *)room, &heir) : NULL;
        if (share == NULL)
            continue;
        struct note note = {.kind = STRAY, .octets = (uint32_t)octets, .handle = share->handle};
        struct iovec parts[2] = {{&note, sizeof note}, {room, (size_t)octets}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        LIBC->sendmsg(heir->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

/* --- the child --------------------------------------------------------------------------------------------------- */

void stray_came(int64_t handle, const void *frame, size_t octets)
{
    struct kept *made = kept_octets + octets <= KEPT_OCTETS ? malloc(sizeof *made + octets) : NULL;
    if (made == NULL)
        return;
    made->next = NULL;
    made->handle = handle;
    made->octets = (uint32_t)octets;
    memcpy(made->frame, frame, octets);
    kept_octets += octets;
    *last = made;
    last = &made->next;
}

static int let_in(int64_t handle, bool wanted)
{
    int count = 0;
    for (struct kept **place = &first; *place != NULL;) {
        struct kept *found = *place;
        if (found->handle != handle) {
            place = &found->next;
            continue;
        }
        if (wanted && process.worker != NULL)
            pronghorn_put_stray(process.worker, (struct pronghorn_stray *)(void *)found->frame, found->octets);
        count++;
        kept_octets -= found->octets;
        *place = found->next;
        free(found);
    }
    for (last = &first; *last != NULL; last = &(*last)->next)
        ;
    return count;
}

void strays_taken(int64_t handle)
{
    taken = clock_now();
    fork_busy = true;
    for (int count = 0; count < MOST && receive_parcel(0); count++)
        ;
    let_in(handle, true);
}

void strays_forget(int64_t handle)
{
    let_in(handle, false);
}

struct sought {
    int64_t handle;
    bool taken, gone;
};

static bool is_sought(struct description *description, void *context)
{
    struct sought *sought = context;
    if (!is_connection(description) || description->foreign_handle != sought->handle || !description->handed)
        return true;
    sought->gone = false;
    sought->taken = !description->foreign && description->handle >= 0;
    return false;
}

static int hear_late(void)
{
    int count = 0;
    for (int heard = 0; heard < MOST && receive_parcel(0); heard++)
        ;
    for (struct kept *each = first; each != NULL;) {
        struct sought sought = {.handle = each->handle, .gone = true};
        descriptions_each(is_sought, &sought);
        if (!sought.taken && !sought.gone) {
            each = each->next;
            continue;
        }
        count += let_in(sought.handle, sought.taken);
        each = first;
    }
    return count;
}

/* --- both -------------------------------------------------------------------------------------------------------- */

int fork_turn(int64_t now)
{
    if (fork_given != 0 && now - fork_looked >= LOOK)
        fork_look();
    if (heirs != NULL)
        send_strays();
    bool late = testator >= 0 && now - taken < LATE;
    fork_busy = heirs != NULL || late;
    return late ? hear_late() : 0;
}

int64_t fork_rest(int64_t rest)
{
    int64_t most = testator >= 0 && taken != 0 ? SHORT : fork_given != 0 ? LOOK : rest;
    return rest < most ? rest : most;
}
