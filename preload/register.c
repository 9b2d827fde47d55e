/*
 * The table of this process's sockets (state/register.py), a file that `pronghorn sockets` maps. Written with the lock
 * held; whoever reads sees by the count of changes whether a record was whole. Who may not write where its launcher keeps
 * them (root's; the program runs as another user) keeps it in its user's own directory. Without a place for it there is
 * none.
 */
#include "preload.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM PRONGHORN_REGISTER_RECORDS

static struct pronghorn_register *table;
static struct pronghorn_record *records;
static bool tried;
static char place_of_table[128];
static uint16_t free_next[ROOM]; /* the record after this one among the free */
static int free_first = -1;

/* RUNTIME/programs, made when it is missing; `length` as snprintf returns it. False: it is not ours alone. */
static bool make_folder(char *target, size_t room, int length)
{
    struct stat facts;
    if (length <= 0 || (size_t)length + 16 > room)
        return false;
    mkdir(target, 0700);
    strcat(target, "/programs");
    mkdir(target, 0700);
    return lstat(target, &facts) == 0 && S_ISDIR(facts.st_mode) && facts.st_uid == geteuid();
}

/* As runtime.directory() of the control room; what was chosen may be another user's. */
static bool find_folder(char *target, size_t room)
{
    const char *chosen = getenv("PRONGHORN_RUNTIME_DIR"), *base = getenv("XDG_RUNTIME_DIR");
    if (chosen != NULL && *chosen != 0 && make_folder(target, room, snprintf(target, room, "%s", chosen)))
        return true;
    if (geteuid() == 0)
        return make_folder(target, room, snprintf(target, room, "/run/pronghorn"));
    if (base != NULL && *base != 0 && make_folder(target, room, snprintf(target, room, "%s/pronghorn", base)))
        return true;
    return make_folder(target, room, snprintf(target, room, "/tmp/pronghorn-%d", (int)geteuid()));
}

static uint64_t hash_place(void)
{
    const char *chosen = getenv("PRONGHORN_RUNTIME_DIR");
    uint64_t hash = 0xCBF29CE484222325u;
    if (chosen == NULL || *chosen == 0)
        return 0;
    for (; *chosen != 0; chosen++)
        hash = (hash ^ (uint8_t)*chosen) * 0x100000001B3u;
    return hash;
}

static void open_table(void)
{
    char folder[96];
    tried = true;
    if (!find_folder(folder, sizeof folder))
        return;
    snprintf(place_of_table, sizeof place_of_table, "%s/%d", folder, (int)getpid());
    unlink(place_of_table);
    int fd = open(place_of_table, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    size_t octets = sizeof *table + ROOM * sizeof *records;
    void *memory = MAP_FAILED;
    if (ftruncate(fd, (off_t)octets) == 0)
        memory = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    LIBC->close(fd);
    if (memory == MAP_FAILED) {
        unlink(place_of_table);
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    table = memory;
    records = (struct pronghorn_record *)(table + 1);
    table->version = PRONGHORN_REGISTER_VERSION;
    table->pid = (uint32_t)getpid();
    table->room = ROOM;
    table->wakeup = process.wakeup;
    table->started = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    table->place = hash_place();
    memcpy(table->name, process.name, sizeof table->name);
    __atomic_store_n(&table->magic, PRONGHORN_REGISTER_MAGIC, __ATOMIC_RELEASE);
}

static int new_record(void)
{
    if (free_first >= 0) {
        int made = free_first;
        free_first = free_next[made] == 0xFFFF ? -1 : free_next[made];
        return made;
    }
    if (table->used >= ROOM - 1) {
        table->beyond++;
        return -1;
    }
    return (int)table->used++;
}

static void begin_change(struct pronghorn_record *record)
{
    __atomic_store_n(&record->changes, record->changes + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end_change(struct pronghorn_record *record)
{
    __atomic_store_n(&record->changes, record->changes + 1, __ATOMIC_RELEASE);
}

/* An address as the kernel has it. */
static bool kernels_name(struct description *description, bool far, struct pronghorn_address *target)
{
    struct sockaddr_storage address;
    socklen_t octets = sizeof address;
    int result = far ? LIBC->getpeername(description->fd, (struct sockaddr *)&address, &octets)
                     : LIBC->getsockname(description->fd, (struct sockaddr *)&address, &octets);
    return result == 0 && address_in(description, (struct sockaddr *)&address, octets, target) == 0;
}

static bool name(struct description *description, bool far, struct pronghorn_address *target)
{
    if (description->path < PATH_OURS)
        return kernels_name(description, far, target);
    return (far ? pronghorn_peer_name(process.worker, description->handle, target)
                : pronghorn_socket_name(process.worker, description->handle, target)) == 0;
}

static void write_record(struct pronghorn_record *record, struct description *description, const char *why)
{
    struct pronghorn_address own = {0}, far = {0};
    bool bound = name(description, false, &own), connected = description->connected && name(description, true, &far);
    begin_change(record);
    record->fd = (uint32_t)description->fd;
    record->path = description->path == PATH_OURS     ? PRONGHORN_RECORD_OURS
                   : description->path == PATH_BOTH   ? PRONGHORN_RECORD_BOTH
                   : description->path == PATH_KERNEL ? PRONGHORN_RECORD_KERNEL
                                                      : PRONGHORN_RECORD_UNDECIDED;
    record->type = description->type;
    record->protocol = (uint8_t)description->protocol;
    record->state = description->listening   ? PRONGHORN_RECORD_LISTENING
                    : description->connected ? PRONGHORN_RECORD_CONNECTED
                    : own.port != 0          ? PRONGHORN_RECORD_BOUND
                                             : PRONGHORN_RECORD_OPEN;
    record->handle = (uint64_t)description->handle;
    record->own_family = bound ? own.family : 0;
    record->own_hi = own.hi;
    record->own_lo = own.lo;
    record->own_port = own.port;
    record->far_family = connected ? far.family : 0;
    record->far_hi = far.hi;
    record->far_lo = far.lo;
    record->far_port = far.port;
    if (why != NULL) {
        memset(record->reason, 0, sizeof record->reason);
        strncpy((char *)record->reason, why, sizeof record->reason - 1);
    }
    end_change(record);
}

void register_open(void)
{
    if (!tried)
        open_table();
}

void register_update(struct description *description, const char *why)
{
    if (UNLIKELY(!tried))
        register_open();
    if (table == NULL || (description->record < 0 && (description->record = new_record()) < 0))
        return;
    write_record(&records[description->record], description, why);
}

void register_drop(struct description *description)
{
    if (description->record < 0 || table == NULL)
        return;
    struct pronghorn_record *record = &records[description->record];
    begin_change(record);
    record->path = PRONGHORN_RECORD_FREE;
    memset(record->reason, 0, sizeof record->reason);
    end_change(record);
    free_next[description->record] = free_first < 0 ? 0xFFFF : (uint16_t)free_first;
    free_first = description->record;
    description->record = -1;
}

static bool forget(struct description *description, void *unused)
{
    (void)unused;
    description->record = -1;
    return true;
}

/* A forked child has a table of its own, once it needs one. */
void register_forked(void)
{
    if (table != NULL)
        munmap(table, sizeof *table + ROOM * sizeof *records);
    table = NULL;
    tried = false;
    free_first = -1;
    descriptions_each(forget, NULL);
}

__attribute__((destructor)) static void end(void)
{
    if (table != NULL && table->pid == (uint32_t)getpid())
        unlink(place_of_table);
}
