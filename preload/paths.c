/*
 * Which path a socket takes (docs/adr/0013-accelerated-programs.md), and how addresses cross between Linux's form and the
 * engine's. A socket is the kernel's, its options remembered, until bind or connect or a datagram decides.
 */
#include "preload.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define MAPPED (0xFFFFULL << 32)

/* --- addresses --------------------------------------------------------------------------------------------------- */

static uint64_t load_big(const uint8_t *octets)
{
    uint64_t value;
    memcpy(&value, octets, sizeof value);
    return __builtin_bswap64(value);
}

static void store_big(uint8_t *octets, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(octets, &value, sizeof value);
}

int address_in(struct description *description, const struct sockaddr *address, socklen_t octets,
               struct pronghorn_address *to)
{
    memset(to, 0, sizeof *to);
    if (octets < sizeof address->sa_family)
        return -EINVAL;
    if (address->sa_family == AF_INET && description->family == AF_INET) {
        struct sockaddr_in four;
        if (octets < sizeof four)
            return -EINVAL;
        memcpy(&four, address, sizeof four);
        to->lo = MAPPED | ntohl(four.sin_addr.s_addr);
        to->port = ntohs(four.sin_port);
        to->family = 4;
        return 0;
    }
    if (address->sa_family == AF_INET6 && description->family == AF_INET6) {
        struct sockaddr_in6 six;
        if (octets < offsetof(struct sockaddr_in6, sin6_scope_id))
            return -EINVAL;
        memset(&six, 0, sizeof six);
        memcpy(&six, address, octets < sizeof six ? octets : sizeof six);
        to->hi = load_big(six.sin6_addr.s6_addr);
        to->lo = load_big(six.sin6_addr.s6_addr + 8);
        to->port = ntohs(six.sin6_port);
        to->family = to->hi == 0 && to->lo >> 32 == 0xFFFF ? 4 : 6;
        return 0;
    }
    return -EAFNOSUPPORT;
}

void address_out(struct description *description, const struct pronghorn_address *from, struct sockaddr *address,
                 socklen_t *room)
{
    union {
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } whole;
    socklen_t octets;
    if (address == NULL || room == NULL)
        return;
    memset(&whole, 0, sizeof whole);
    if (description->family == AF_INET) {
        whole.four.sin_family = AF_INET;
        whole.four.sin_port = htons(from->port);
        whole.four.sin_addr.s_addr = htonl((uint32_t)from->lo);
        octets = sizeof whole.four;
    } else {
        whole.six.sin6_family = AF_INET6;
        whole.six.sin6_port = htons(from->port);
        store_big(whole.six.sin6_addr.s6_addr, from->hi);
        store_big(whole.six.sin6_addr.s6_addr + 8, from->lo);
        octets = sizeof whole.six;
    }
    memcpy(address, &whole, *room < octets ? *room : octets);
    *room = octets;
}

bool is_any(const struct pronghorn_address *address)
{
    return address->hi == 0 && (address->lo == 0 || address->lo == MAPPED);
}

static bool is_loopback(const struct pronghorn_address *address)
{
    if (address->family == 4)
        return ((uint32_t)address->lo >> 24) == 127;
    return address->hi == 0 && address->lo == 1;
}

/* The family by which the engine knows the socket. */
static int engine_family(const struct description *description)
{
    return description->family == AF_INET ? 4 : 10;
}

/* --- the engine's socket ----------------------------------------------------------------------------------------- */

int open_ours(struct description *description)
{
    if (description->handle >= 0)
        return 0;
    if (attach() == NULL)
        return -ENETDOWN;
    int kind = description->type == SOCK_STREAM          ? PRONGHORN_STREAM
               : description->protocol == IPPROTO_UDP ? PRONGHORN_DATAGRAM
                                                      : PRONGHORN_ECHO;
    int64_t handle = pronghorn_socket(process.worker, engine_family(description), kind);
    if (handle < 0)
        return (int)handle;
    description->handle = handle;
    apply_options(description);
    return 0;
}

/* Packets of which family come to a socket that is bound to this: 4, 6, or 10 for both. */
static int claim_family(const struct description *description, const struct pronghorn_address *own)
{
    int only = 0;
    if (description->family == AF_INET || (own->hi == 0 && own->lo >> 32 == MAPPED >> 32))
        return 4;
    if (!is_any(own))
        return 6;
    pronghorn_get_option(process.worker, description->handle, IPPROTO_IPV6, IPV6_V6ONLY, (int64_t)(uintptr_t)&only, sizeof only);
    return only != 0 ? 6 : 10;
}

/* What the description claims at the gateway, when it has claimed something. */
static void unclaim(struct description *description)
{
    struct pronghorn_address own;
    if (description->claimed == 0 || pronghorn_socket_name(process.worker, description->handle, &own) != 0)
        return;
    if (description->type != SOCK_STREAM && process.control >= 0)
        await_taken(); /* the last datagrams have a source that is claimed */
    claim(PRONGHORN_CLAIM_CLOSE, 0, description->protocol, description->claimed, &own);
    description->claimed = 0;
}

int claim_name(struct description *description, int kind)
{
    struct pronghorn_address own;
    int result = (int)pronghorn_socket_name(process.worker, description->handle, &own);
    if (result != 0 || description->claimed != 0)
        return result;
    int family = claim_family(description, &own);
    int flags = PRONGHORN_CLAIM_SHARED, reuse = 0; /* forked children may come */
    socklen_t octets = sizeof reuse;
    if (description->fd >= 0 && LIBC->getsockopt(description->fd, SOL_SOCKET, SO_REUSEPORT, &reuse, &octets) == 0 && reuse != 0)
        flags |= PRONGHORN_CLAIM_REUSE;
    result = claim(kind, flags, description->protocol, family, &own);
    description->claimed = result == 0 ? (uint8_t)family : 0;
    if (result == 0 && process.control >= 0)
        await_link(); /* what comes from now on finds a way in */
    return result;
}

void close_ours(struct description *description)
{
    unclaim(description);
    pronghorn_close_socket(process.worker, description->handle);
    description->handle = -1;
}

/* --- decisions --------------------------------------------------------------------------------------------------- */

void decide(struct description *description, enum path path, const char *why)
{
    if (path != PATH_OURS)
        spare_settle(description);
    if (path < PATH_OURS)
        forget_options(description);
    if (description->path == path) {
        register_update(description, why);
        return;
    }
    description->path = (uint8_t)path;
    epoll_decided(description);
    register_update(description, why);
}

/* Why the address is the kernel's; NULL: it is ours, and the process is attached. `local`: to be bound to it. */
const char *path_of(struct description *description, const struct pronghorn_address *address, bool local)
{
    (void)description;
    if (is_loopback(address))
        return "loopback";
    if (local && address->port != 0 && !port_is_wanted(address->port))
        return "port not chosen";
    if (!local && !port_is_wanted(address->port))
        return "port not chosen";
    if (attach() == NULL)
        return "no link";
    if (local)
        return is_any(address) || is_own(address) ? NULL : "not an address of the link";
    if (is_any(address))
        return "loopback"; /* Linux connects to itself */
    return is_reached(address) ? NULL : "not reached by the link";
}

/* The kernel takes it. 0, or the errno of strict. */
int fall_back(struct description *description, const char *why, int error)
{
    bool quiet = strcmp(why, "loopback") == 0 || strcmp(why, "port not chosen") == 0;
    if (!quiet) {
        if (process.strict) {
            report(why, "refused: %s (--strict)", why);
            return -error;
        }
        report(why, "a socket is the kernel's: %s", why);
    }
    decide(description, PATH_KERNEL, why);
    return 0;
}
