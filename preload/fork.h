/*
 * What fork.c, adopt.c, give.c and exec.c share.
 */
#ifndef PRELOAD_FORK_H
#define PRELOAD_FORK_H

#include "preload.h"

#define PRELOAD_KEPT 8 /* options that a socket keeps when it is opened again */

enum { GIVEN = 1, TAKEN, CLOSED, STRAY };

struct note { /* of the socket pair */
    uint32_t kind;
    uint32_t octets;
    int64_t handle; /* as the parent's engine knew it */
};

/* What is known of a socket that is opened again. */
struct legacy {
    struct pronghorn_address own, far;
    int values[PRELOAD_KEPT]; /* of options; -1: it has none */
    bool bound, connected, listening;
    int64_t handle;
    void *waiting; /* datagrams, as put_datagrams has them; NULL */
    int64_t octets;
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
        int64_t since; /* when it was given */
        int parcel; /* a memfd that was given and not taken; -1 */
        uint32_t octets;
        bool held, given;
        struct pronghorn_address own, far; /* of one that was given */
    } shares[];
};

struct parcel { /* that has come, and was not asked for yet */
    struct parcel *next;
    int64_t handle;
    uint32_t octets;
    int fd;
};

extern struct heir *heirs;
extern int testator; /* in a child: the parent's other end; -1 */

/* shelves.c. Lock held, all of them. */
void shelf_fill(struct description *description); /* in the parent, before it forks */
/* In the child, while its copy of the parent's engine is there; and when it has an engine of its own. */
void shelf_inherit(struct description *description, struct legacy *legacy);
void shelf_unpack(struct description *description, const struct legacy *legacy);
void legacy_free(struct legacy *legacy);

void write_down(struct description *description, struct legacy *legacy);
void tell(int fd, uint32_t kind, int64_t handle);
int compare_shares(const void *one, const void *other);
void read_testament(void);
void give_begin(void);

/* The next thing that comes from the parent within `ms`. False: nothing does any more. */
bool receive_parcel(int ms);

/* strays.c. Lock held, all of them. */
void stray_came(int64_t handle, const void *frame, size_t octets); /* in a child, from its parent */
void strays_taken(int64_t handle);  /* this process has the connection now */
void strays_forget(int64_t handle); /* it will not have it */

/* What moves to a child, and not anew into another engine. */
static inline bool is_connection(const struct description *description)
{
    return description->path == PATH_OURS && description->type == SOCK_STREAM && !description->listening;
}

#endif
