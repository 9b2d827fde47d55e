/*
 * The process: its settings, its one lock, and what it says to people.
 */
#include "preload.h"

#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct process process = {.attach_fd = -1, .control = -1, .pipe = -1};

int64_t clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

/* --- the lock ------------------------------------------------------------------------------------------------------
 * A word: the thread that holds it, and whether others sleep. While the process has one thread (glibc knows), it is
 * taken and given back by plain stores.
 */

#define SLEEPERS 0x80000000u
#define TRIES 200 /* a call takes less than the time these take */

extern char __libc_single_threaded __attribute__((weak));

static uint32_t holder;
static uint32_t wanting; /* threads that look for the lock */
static __thread uint32_t own_number __attribute__((tls_model("initial-exec")));

static inline bool is_alone(void)
{
    return &__libc_single_threaded != NULL && __libc_single_threaded != 0;
}

static uint32_t number_thread(void)
{
    own_number = (uint32_t)syscall(SYS_gettid);
    return own_number;
}

static void lock_slowly(uint32_t me)
{
    __atomic_fetch_add(&wanting, 1, __ATOMIC_RELAXED);
    uint32_t mark = 0;
    for (int tries = 0;; tries++) {
        uint32_t seen = __atomic_load_n(&holder, __ATOMIC_RELAXED);
        if (seen == 0) {
            if (__atomic_compare_exchange_n(&holder, &seen, me | mark, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                break;
        } else if (tries < TRIES) {
            pause_briefly();
        } else if ((seen & SLEEPERS) != 0 ||
                   __atomic_compare_exchange_n(&holder, &seen, seen | SLEEPERS, false, __ATOMIC_RELAXED,
                                               __ATOMIC_RELAXED)) {
            syscall(SYS_futex, &holder, FUTEX_WAIT_PRIVATE, seen | SLEEPERS, NULL);
            mark = SLEEPERS; /* there may be more who sleep */
            tries = 0;
        }
    }
    __atomic_fetch_sub(&wanting, 1, __ATOMIC_RELAXED);
}

bool lock(void)
{
    uint32_t me = LIKELY(own_number != 0) ? own_number : number_thread(), seen = 0;
    if (is_alone()) {
        if (UNLIKELY(__atomic_load_n(&holder, __ATOMIC_RELAXED) != 0))
            return false;
        __atomic_store_n(&holder, me, __ATOMIC_RELAXED);
        return true;
    }
    if (LIKELY(__atomic_compare_exchange_n(&holder, &seen, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
        return true;
    if ((seen & ~SLEEPERS) == me)
        return false;
    int error = errno;
    lock_slowly(me);
    errno = error;
    return true;
}

void unlock(void)
{
    if (is_alone()) {
        __atomic_store_n(&holder, 0, __ATOMIC_RELAXED);
        return;
    }
    if (UNLIKELY((__atomic_exchange_n(&holder, 0, __ATOMIC_RELEASE) & SLEEPERS) != 0)) {
        int error = errno;
        syscall(SYS_futex, &holder, FUTEX_WAKE_PRIVATE, 1);
        errno = error;
    }
}

void lock_yield(void)
{
    if (LIKELY(__atomic_load_n(&wanting, __ATOMIC_RELAXED) == 0))
        return;
    unlock();
    for (int tries = 0; tries < TRIES && __atomic_load_n(&wanting, __ATOMIC_RELAXED) != 0; tries++)
        pause_briefly();
    if (__atomic_load_n(&wanting, __ATOMIC_RELAXED) != 0)
        syscall(SYS_sched_yield);
    lock();
}

/* --- settings and reports ---------------------------------------------------------------------------------------- */

static uint8_t wanted_ports[8192];
static bool all_ports = true;

bool port_is_wanted(int port)
{
    return all_ports || (wanted_ports[(port & 0xFFFF) >> 3] >> (port & 7) & 1) != 0;
}

/* "80,443,8000-8100" */
static void read_ports(const char *text)
{
    all_ports = false;
    while (*text != 0) {
        char *end;
        long first = strtol(text, &end, 10), last = first;
        if (*end == '-')
            last = strtol(end + 1, &end, 10);
        if (end == text || first < 1 || last > 65535 || last < first || (*end != 0 && *end != ',')) {
            report("ports", "PRONGHORN_ONLY_PORTS: '%s' is not like 80,443,8000-8100; no port is ours", text);
            return;
        }
        for (long port = first; port <= last; port++)
            wanted_ports[port >> 3] |= (uint8_t)(1 << (port & 7));
        text = *end == ',' ? end + 1 : end;
    }
}

void report(const char *key, const char *format, ...)
{
    static const char *said[64];
    static int count;
    for (int place = 0; place < count; place++)
        if (strcmp(said[place], key) == 0)
            return;
    if (count == 64)
        return;
    said[count++] = key;
    char text[512] = "pronghorn: ";
    size_t start = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    int octets = vsnprintf(text + start, sizeof text - start - 1, format, arguments);
    va_end(arguments);
    if (octets < 0)
        return;
    size_t end = strlen(text);
    text[end] = '\n';
    int error = errno;
    if (LIBC->write(2, text, end + 1) < 0) {
        /* nobody hears it */
    }
    errno = error;
}

extern char *program_invocation_short_name;

__attribute__((constructor)) static void begin(void)
{
    const char *text;
    strncpy(process.name, program_invocation_short_name, sizeof process.name - 1);
    if ((text = getenv("PRONGHORN_ATTACH")) != NULL)
        process.attach_path = strdup(text); /* programs write their titles over the environment */
    if ((text = getenv("PRONGHORN_ATTACH_FD")) != NULL && *text != 0) {
        process.attach_fd = atoi(text);
        hide_here(process.attach_fd);
    }
    process.enabled = (process.attach_path != NULL && *process.attach_path != 0) || process.attach_fd >= 0;
    process.strict = (text = getenv("PRONGHORN_STRICT")) != NULL && strcmp(text, "0") != 0 && *text != 0;
    if ((text = getenv("PRONGHORN_STACK")) != NULL && strcmp(text, "wakeup") == 0)
        process.wakeup = true;
    else if (text != NULL && *text != 0 && strcmp(text, "completion") != 0)
        report("stack", "PRONGHORN_STACK: '%s' is neither completion nor wakeup; completion is taken", text);
    if ((text = getenv("PRONGHORN_ONLY_PORTS")) != NULL && *text != 0)
        read_ports(text);
    fork_begin();
}

void process_forked(pid_t parent)
{
    holder = wanting = 0;
    own_number = 0;
    turn_forked();
    register_forked();
    attach_forked(parent);
}

/* What this was compiled from (tools/native.py looks for it). */
#ifndef PRELOAD_HASH
#define PRELOAD_HASH "unknown"
#endif
__attribute__((used)) static const char made_of[] = "pronghorn-preload " PRELOAD_HASH;
