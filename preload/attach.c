/*
 * Attaching (state/attach.py): a Hello, a Welcome with descriptors, an engine of our own on the link. And the Claims
 * that go to the gateway afterwards. Every field of what comes is checked here or by engine_attach.
 */
#include "preload.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE (100 * 1000000LL) /* ns that the other side of a link may take to answer */
#define ANSWER_SECONDS 5
#define NO_MEMORY 1 /* EngineConfiguration.error */
#ifndef LIBRARY_HASH
#define LIBRARY_HASH PRONGHORN_SOURCE_HASH /* of the library that belongs to pronghorn.h */
#endif

static bool linked;
static uint64_t claims;

/* --- the Welcome ------------------------------------------------------------------------------------------------- */

static void keep(int fd)
{
    if (process.number_count < (int)(sizeof process.numbers / sizeof process.numbers[0]))
        process.numbers[process.number_count++] = fd;
}

/* The message and its descriptors; how many of these, or minus an errno. */
static int read_welcome(int fd, int flags, int *numbers, int room)
{
    union {
        char octets[CMSG_SPACE(sizeof(int) * (PRELOAD_PIPES + 2))];
        struct cmsghdr head;
    } extra;
    struct iovec part = {&process.welcome, sizeof process.welcome};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &extra, .msg_controllen = sizeof extra};
    ssize_t octets;
    do
        octets = LIBC->recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
    while (octets < 0 && errno == EINTR);
    if (octets < 0)
        return -errno;
    int count = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head != NULL; head = CMSG_NXTHDR(&message, head))
        if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
            for (size_t at = 0; at + sizeof(int) <= head->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
                int number;
                memcpy(&number, CMSG_DATA(head) + at, sizeof number);
                if (count < room)
                    numbers[count++] = number;
                else
                    LIBC->close(number);
            }
    bool whole = octets == sizeof process.welcome && (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 &&
                 process.welcome.magic == PRONGHORN_ATTACH_MAGIC && process.welcome.version == PRONGHORN_ATTACH_VERSION;
    int error = !whole ? EPROTO : (int)process.welcome.error;
    if (error == 0 && count != (int)process.welcome.queues + 2)
        error = EPROTO;
    for (int place = 0; error != 0 && place < count; place++)
        LIBC->close(numbers[place]);
    return error != 0 ? -error : count;
}

static int greet(int *numbers, int room)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(process.attach_path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, process.attach_path);
    int fd = LIBC->socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct timeval patience = {.tv_sec = ANSWER_SECONDS};
    LIBC->setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    struct pronghorn_hello hello = {.magic = PRONGHORN_ATTACH_MAGIC, .version = PRONGHORN_ATTACH_VERSION};
    hello.parent = (uint32_t)process.parent;
    char digits[17] = "";
    strncpy(digits, pronghorn_source_hash(), sizeof digits - 1);
    hello.layout = strtoull(digits, NULL, 16);
    memcpy(hello.name, process.name, sizeof process.name);
    int count;
    if (LIBC->connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        LIBC->send(fd, &hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello)
        count = -errno;
    else
        count = read_welcome(fd, 0, numbers, room);
    if (count < 0) {
        LIBC->close(fd);
        return count;
    }
    process.control = hide(fd);
    keep(process.control);
    return count;
}

/* A direct link has one process at each end: whoever has the record lock of its end. 0, or minus an errno. */
static int take_end(int memory)
{
    struct flock end = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = process.welcome.end, .l_len = 1};
    return LIBC->fcntl(memory, F_SETLK, &end) == 0 ? 0 : -EBUSY;
}

/* --- the engine -------------------------------------------------------------------------------------------------- */

static void let_go(void)
{
    if (process.memory != NULL)
        munmap(process.memory, process.memory_octets);
    process.memory = NULL;
    for (int place = 0; place < process.number_count; place++)
        unhide_close(process.numbers[place]);
    process.number_count = 0;
    process.pipe = process.control = -1;
}

/* 0, or minus an errno. */
static int attach_engine(int *numbers, int count)
{
    int32_t pipes[PRELOAD_PIPES];
    for (int place = 0; place < count; place++)
        keep(numbers[place] = hide(numbers[place]));
    struct stat facts;
    if (fstat(numbers[0], &facts) != 0)
        return -errno;
    if (process.attach_path == NULL && take_end(numbers[0]) != 0)
        return -EBUSY;
    process.memory_octets = (size_t)facts.st_size;
    process.memory = mmap(NULL, process.memory_octets, PROT_READ | PROT_WRITE, MAP_SHARED, numbers[0], 0);
    if (process.memory == MAP_FAILED) {
        process.memory = NULL;
        return -errno;
    }
    process.pipe = numbers[1];
    for (int place = 2; place < count; place++)
        pipes[place - 2] = numbers[place];
    for (int place = 1; place < count; place++)
        LIBC->fcntl(numbers[place], F_SETFL, O_NONBLOCK);
    struct pronghorn_engineconfiguration configuration = {0};
    process.worker = pronghorn_engine_attach(&configuration, &process.welcome, (int64_t)(uintptr_t)process.memory,
                                             facts.st_size, process.pipe, pipes);
    if (process.worker == NULL)
        return configuration.error == NO_MEMORY ? -ENOMEM : -EPROTO;
    return 0;
}

/* PRONGHORN_SETTINGS: the octets of the engine's Settings, in hexadecimal. */
static void apply_settings(void)
{
    const char *text = getenv("PRONGHORN_SETTINGS");
    struct pronghorn_settings settings;
    if (text == NULL || *text == 0)
        return;
    uint8_t *octets = (uint8_t *)&settings;
    bool sound = strlen(text) == 2 * sizeof settings;
    for (size_t place = 0; sound && place < sizeof settings; place++) {
        char digits[3] = {text[2 * place], text[2 * place + 1], 0}, *end;
        octets[place] = (uint8_t)strtoul(digits, &end, 16);
        sound = *end == 0;
    }
    settings.port_low = process.welcome.port_low; /* who gives the link knows which are free */
    settings.port_high = process.welcome.port_high;
    if (!sound)
        report("settings", "PRONGHORN_SETTINGS has not the form of this version's settings; the defaults hold");
    else if (pronghorn_engine_settings(process.worker, &settings) != 0)
        report("settings", "PRONGHORN_SETTINGS: the value at octet %u is out of range; the defaults hold",
               settings.wrong);
}

/* What lies where in the library's structures is known for one build of it only. */
static bool fits(void)
{
    const char *found = pronghorn_source_hash();
    if (strcmp(found, LIBRARY_HASH) == 0)
        return true;
    report("library", "no link: libpronghorn.so is another build (%.12s) than the one that libpronghorn-preload.so was "
           "made for (%.12s); install both together, or ./do build. Sockets are the kernel's", found, LIBRARY_HASH);
    return false;
}

struct pronghorn_worker *attach(void)
{
    if (LIKELY(process.worker != NULL) || !process.enabled || process.refused)
        return process.worker;
    if (!fits()) {
        process.refused = true;
        return NULL;
    }
    int numbers[PRELOAD_PIPES + 2], room = PRELOAD_PIPES + 2, error = errno;
    bool gateway = process.attach_path != NULL;
    int count = gateway ? greet(numbers, room) : read_welcome(process.attach_fd, MSG_PEEK | MSG_DONTWAIT, numbers, room);
    int result = count < 0 ? count : attach_engine(numbers, count);
    if (result < 0) {
        let_go();
        process.refused = result != -EBUSY;
        if (result == -EBUSY && process.patient)
            errno = error;
        else if (result == -EBUSY)
            report("attach", "process %d stays with the kernel's sockets: another process has this end of the link",
                   (int)getpid());
        else
            report("attach", "no link (%s): %s; sockets are the kernel's", gateway ? process.attach_path : "direct",
                   strerror(-result));
        errno = error;
        return NULL;
    }
    apply_settings();
    process.pid = getpid();
    linked = false;
    signals_begin();
    turn_begin();
    errno = error;
    return process.worker;
}

void await_link(void)
{
    if (LIKELY(linked))
        return;
    linked = true;
    int64_t end = clock_now() + PATIENCE;
    while (pronghorn_engine_linked(process.worker) == 0 && clock_now() < end) {
        turn();
        pause_briefly();
    }
}

void await_taken(void)
{
    static const struct timespec nap = {0, 50000};
    int64_t end = clock_now() + PATIENCE;
    turn();
    while (pronghorn_engine_untaken(process.worker) != 0 && clock_now() < end)
        LIBC->ppoll(NULL, 0, &nap, NULL);
}

void attach_forked(pid_t parent)
{
    if (process.worker != NULL) {
        pronghorn_engine_forget(process.worker);
        process.parent = parent;
    }
    process.worker = NULL;
    process.refused = false;
    let_go();
}

__attribute__((destructor)) static void end(void)
{
    if (process.worker == NULL || process.pid != getpid() || !lock())
        return;
    for (int fd = 0; fd < descriptions_end(); fd++)
        if (descriptions[fd] != NULL && descriptions[fd]->path >= PATH_OURS)
            description_drop(fd);
    turn_end();
    pronghorn_engine_detach(process.worker);
    process.worker = NULL;
    process.enabled = false; /* the lock stays taken: other threads must not touch what is gone */
}

/* Ends without destructors; what was sent is to arrive all the same. */
EXPORT void _exit(int status)
{
    end();
    LIBC->_exit(status);
    __builtin_unreachable();
}

EXPORT void _Exit(int status)
{
    _exit(status);
}

/* --- addresses --------------------------------------------------------------------------------------------------- */

#define MAPPED (0xFFFFULL << 32)

static bool is_in(const struct pronghorn_address *address, const struct pronghorn_own *own, int length)
{
    if (address->family != own->family)
        return false;
    uint64_t hi = address->hi ^ own->hi, lo = address->lo ^ own->lo;
    if (own->family == 4)
        length += 96;
    if (length < 64)
        return length == 0 || hi >> (64 - length) == 0;
    return hi == 0 && (length == 64 || lo >> (128 - length) == 0);
}

bool is_own(const struct pronghorn_address *address)
{
    for (uint32_t place = 0; place < process.welcome.count; place++) {
        const struct pronghorn_own *own = &process.welcome.addresses[place];
        if (is_in(address, own, own->family == 4 ? 32 : 128))
            return true;
    }
    return false;
}

bool is_reached(const struct pronghorn_address *address)
{
    bool direct = (process.welcome.flags & PRONGHORN_WELCOME_DIRECT_LINK) != 0;
    for (uint32_t place = 0; place < process.welcome.count; place++) {
        const struct pronghorn_own *own = &process.welcome.addresses[place];
        if (direct ? is_in(address, own, own->length) : address->family == own->family)
            return true;
    }
    return false;
}

/* --- Claims ------------------------------------------------------------------------------------------------------ */

static int ask(struct pronghorn_claim message)
{
    if ((process.welcome.flags & PRONGHORN_WELCOME_CLAIMS) == 0 || process.control < 0)
        return 0;
    message.number = ++claims;
    if (LIBC->send(process.control, &message, sizeof message, MSG_NOSIGNAL) != sizeof message)
        return -errno;
    for (;;) {
        struct pronghorn_answer answer;
        ssize_t octets = LIBC->recv(process.control, &answer, sizeof answer, 0);
        if (octets < 0 && errno == EINTR)
            continue;
        if (octets != sizeof answer)
            return octets < 0 && errno == EAGAIN ? -ETIMEDOUT : -EPROTO;
        if (answer.number == message.number)
            return -(int)answer.error;
    }
}

int claim(int kind, int flags, int protocol, int family, const struct pronghorn_address *own)
{
    return ask((struct pronghorn_claim){.kind = (uint32_t)kind,
                                        .flags = (uint32_t)flags,
                                        .protocol = (uint8_t)protocol,
                                        .family = (uint8_t)family,
                                        .port = own->port,
                                        .hi = own->hi,
                                        .lo = is_any(own) ? 0 : own->lo}); /* 0.0.0.0 may be written as mapped */
}

int claim_take(const struct pronghorn_address *own, const struct pronghorn_address *far)
{
    return ask((struct pronghorn_claim){.kind = PRONGHORN_CLAIM_TAKE,
                                        .protocol = 6,
                                        .family = own->family,
                                        .port = own->port,
                                        .hi = own->hi,
                                        .lo = own->lo,
                                        .far_port = far->port,
                                        .far_hi = far->hi,
                                        .far_lo = far->lo});
}

int claim_part(int protocol, int family, const struct pronghorn_address *own)
{
    return claim(PRONGHORN_CLAIM_TAKE, 0, protocol, family, own);
}
