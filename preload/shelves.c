/*
 * What waited in a datagram socket when its process forked. Both have it, as on Linux, and whoever reads a datagram
 * takes it: the child gets a copy of those that waited, and a page that all these processes share says which were read. They
 * wait in each process's own engine and are dropped there once another process has read them.
 *
 *     parent      1 2 3 4 5        1 and 2 were read: both drop them when they look
 *     page        x x . .          of this fork: 1 to 4
 *     child       1 2 3 4          5 came later: it is the parent's
 *
 * Left out: more than SHELF datagrams (those behind are the parent's); what has come to a child since it was forked,
 * when that forks while it shares some with its own parent.
 */
#include "fork.h"

#include <stdlib.h>
#include <sys/mman.h>

#define SHELF 512 /* datagrams; a page of words */

struct shelf {
    uint64_t *words; /* of datagram n, at n % SHELF: 2 n, and 1 more once it was read */
    uint64_t first;  /* the number of the one that waits first here */
    uint32_t count;  /* that are shared; those behind came later */
    bool own;        /* this process gives the numbers */
};

int shelves;

void shelf_free(struct description *description)
{
    if (description->shelf == NULL)
        return;
    munmap(description->shelf->words, SHELF * sizeof(uint64_t));
    free(description->shelf);
    description->shelf = NULL;
    shelves--;
}

void shelf_pass(struct description *description)
{
    struct shelf *shelf = description->shelf;
    shelf->first++;
    if (--shelf->count == 0)
        shelf_free(description);
}

void shelf_look(struct description *description)
{
    struct shelf *shelf;
    while (!description->foreign && (shelf = description->shelf) != NULL) {
        uint64_t word = __atomic_load_n(&shelf->words[shelf->first % SHELF], __ATOMIC_ACQUIRE);
        if (word == shelf->first << 1)
            return;
        pronghorn_drop_datagram(process.worker, description->handle);
        shelf_pass(description);
    }
}

static bool look(struct description *description, void *unused)
{
    (void)unused;
    if (UNLIKELY(description->shelf != NULL) && process.worker != NULL)
        shelf_look(description);
    return true;
}

void shelves_look(void)
{
    descriptions_each(look, NULL);
}

bool shelf_claim(struct description *description)
{
    for (shelf_look(description); description->shelf != NULL; shelf_look(description)) {
        uint64_t *word = &description->shelf->words[description->shelf->first % SHELF];
        uint64_t there = description->shelf->first << 1;
        if (__atomic_compare_exchange_n(word, &there, there | 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return true;
    }
    return false;
}

void shelf_unclaim(struct description *description)
{
    struct shelf *shelf = description->shelf;
    __atomic_store_n(&shelf->words[shelf->first % SHELF], shelf->first << 1, __ATOMIC_RELEASE);
}

/* --- fork -------------------------------------------------------------------------------------------------------- */

static struct shelf *make_shelf(void)
{
    struct shelf *made = calloc(1, sizeof *made);
    void *words = MAP_FAILED;
    if (made != NULL)
        words = mmap(NULL, SHELF * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (words == MAP_FAILED) {
        free(made);
        return NULL;
    }
    made->words = words;
    made->own = true;
    shelves++;
    return made;
}

void shelf_fill(struct description *description)
{
    if (description->type != SOCK_DGRAM || description->path < PATH_OURS || description->handle < 0)
        return;
    shelf_look(description);
    int64_t count = pronghorn_datagram_count(process.worker, description->handle);
    if (count > 0 && description->shelf == NULL)
        description->shelf = make_shelf();
    struct shelf *shelf = description->shelf;
    if (shelf == NULL || !shelf->own)
        return;
    for (; shelf->count < count && shelf->count < SHELF; shelf->count++) {
        uint64_t number = shelf->first + shelf->count;
        __atomic_store_n(&shelf->words[number % SHELF], number << 1, __ATOMIC_RELEASE);
    }
}

void shelf_inherit(struct description *description, struct legacy *legacy)
{
    if (description->shelf == NULL)
        return;
    description->shelf->own = false;
    legacy->octets = pronghorn_datagram_octets(process.worker, description->handle);
    legacy->waiting = legacy->octets > 0 ? malloc((size_t)legacy->octets) : NULL;
    if (legacy->waiting == NULL || pronghorn_copy_datagrams(process.worker, description->handle,
                                                            (int64_t)(uintptr_t)legacy->waiting, legacy->octets) < 0)
        legacy->octets = 0;
}

void shelf_unpack(struct description *description, const struct legacy *legacy)
{
    struct shelf *shelf = description->shelf;
    if (shelf == NULL)
        return;
    int64_t count = legacy->octets <= 0 ? 0
                                        : pronghorn_put_datagrams(process.worker, description->handle,
                                                                  (int64_t)(uintptr_t)legacy->waiting, legacy->octets,
                                                                  shelf->count);
    shelf->count = count > 0 ? (uint32_t)count : 0;
    if (shelf->count == 0)
        shelf_free(description);
    else
        shelf_look(description);
}

void legacy_free(struct legacy *legacy)
{
    if (legacy != NULL)
        free(legacy->waiting);
    free(legacy);
}
