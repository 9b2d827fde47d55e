/*
 * Two engines in a C program, joined by taking and injecting frames, on a clock of the program's own.
 *
 *   host 192.0.2.9, 2001:db8:1::9  --  port 1, router, port 0  --  port 0, server 198.51.100.2, 2001:db8:2::2
 *
 * The host, which is this program, pings the server through the router. Every frame is printed with its time: two runs
 * must print the same. With an argument it prints what an engine costs instead.
 */
#include "pronghorn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DELAY 1000000 /* ns, of the wire between the engines */
#define SECOND 1000000000LL
#define HOST_MAC 0x020000000099LL

typedef struct pronghorn_worker engine;

static void expect(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "failed: %s\n", what);
        exit(1);
    }
}

static const uint8_t *address(int family, const char *text)
{
    static uint8_t octets[4][16];
    static int next;
    uint8_t *place = octets[next++ & 3];
    expect(inet_pton(family, text, place) == 1, text);
    return place;
}

/* --- packets ---------------------------------------------------------------------------------------------------- */

static uint32_t sum(const uint8_t *octets, int count)
{
    uint32_t total = 0;
    for (int at = 0; at < count; at += 2)
        total += (uint32_t)octets[at] << 8 | (at + 1 < count ? octets[at + 1] : 0u);
    return total;
}

static void put_checksum(uint8_t *place, uint32_t total)
{
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    place[0] = (uint8_t)(~total >> 8);
    place[1] = (uint8_t)~total;
}

/* An echo request of 12 octets of payload; returns its length. */
static int echo4(uint8_t *packet, const char *from, const char *to)
{
    static const uint8_t start[20] = {0x45, 0, 0, 40, 0, 1, 0, 0, 64, 1};
    memcpy(packet, start, 20);
    memcpy(packet + 12, address(AF_INET, from), 4);
    memcpy(packet + 16, address(AF_INET, to), 4);
    put_checksum(packet + 10, sum(packet, 20));
    memcpy(packet + 20, "\x08\0\0\0\x12\x34\0\1hello, world", 20);
    put_checksum(packet + 22, sum(packet + 20, 20));
    return 40;
}

static int echo6(uint8_t *packet, const char *from, const char *to)
{
    static const uint8_t start[8] = {0x60, 0, 0, 0, 0, 20, 58, 64};
    memcpy(packet, start, 8);
    memcpy(packet + 8, address(AF_INET6, from), 16);
    memcpy(packet + 24, address(AF_INET6, to), 16);
    memcpy(packet + 40, "\x80\0\0\0\x12\x34\0\1hello, world", 20);
    put_checksum(packet + 42, sum(packet + 8, 32) + 20 + 58 + sum(packet + 40, 20));
    return 60;
}

/* Whether the packet is the reply to what echo4 and echo6 make. */
static int is_reply(const uint8_t *packet, int octets)
{
    int header = packet[0] >> 4 == 4 ? 20 : 40;
    int type = header == 20 ? 0 : 129;
    return octets >= header + 20 && packet[header] == type && !memcmp(packet + header + 4, "\x12\x34\0\1hello, world", 16);
}

static void print(const char *where, int64_t when, const uint8_t *octets, int64_t count)
{
    printf("%s %lld ", where, (long long)when);
    for (int64_t at = 0; at < count; at++)
        printf("%02x", octets[at]);
    printf("\n");
}

/* --- two engines ------------------------------------------------------------------------------------------------ */

static engine *create(uint64_t seed, uint32_t ports, uint32_t flags)
{
    struct pronghorn_engineconfiguration configuration = {0};
    configuration.seed = seed;
    configuration.ports = ports;
    configuration.flags = flags;
    engine *made = pronghorn_engine_create(&configuration);
    expect(made != NULL && configuration.error == 0, "create");
    expect(configuration.mtu == 1500, "what was chosen is written into the configuration");
    return made;
}

static void carry(engine *from, engine *to, const char *where)
{
    static uint8_t frame[2048];
    int64_t when;
    while ((when = pronghorn_engine_take_time(from, 0)) >= 0) {
        int64_t octets = pronghorn_engine_take(from, 0, frame, sizeof frame);
        print(where, when, frame, octets);
        expect(pronghorn_engine_inject(to, 0, frame, octets, when + DELAY) == 1, "inject");
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* Let time pass until nothing is to be done before `end`. */
static void run(engine *router, engine *server, int64_t end)
{
    for (;;) {
        carry(router, server, "router");
        carry(server, router, "server");
        int64_t next = earlier(pronghorn_engine_next(router), pronghorn_engine_next(server));
        if (next < 0 || next > end)
            break;
        pronghorn_engine_advance(router, next);
        pronghorn_engine_advance(server, next);
    }
}

static void two_engines(void)
{
    engine *router = create(1, 2, PRONGHORN_ENGINE_FORWARD), *server = create(2, 1, 0);
    expect(pronghorn_engine_address4(router, 0, address(AF_INET, "198.51.100.1"), 24) >= 0, "address4");
    expect(pronghorn_engine_address4(router, 1, address(AF_INET, "192.0.2.1"), 24) >= 0, "address4");
    expect(pronghorn_engine_address4(server, 0, address(AF_INET, "198.51.100.2"), 24) >= 0, "address4");
    expect(pronghorn_engine_address6(router, 0, address(AF_INET6, "2001:db8:2::1"), 64) >= 0, "address6");
    expect(pronghorn_engine_address6(router, 1, address(AF_INET6, "2001:db8:1::1"), 64) >= 0, "address6");
    expect(pronghorn_engine_address6(server, 0, address(AF_INET6, "2001:db8:2::2"), 64) >= 0, "address6");
    expect(pronghorn_engine_route4(server, 0, address(AF_INET, "0.0.0.0"), 0, address(AF_INET, "198.51.100.1")) >= 0,
           "route4");
    expect(pronghorn_engine_route6(server, 0, address(AF_INET6, "::"), 0, address(AF_INET6, "2001:db8:2::1")) >= 0,
           "route6");
    expect(pronghorn_engine_neighbour4(router, 1, address(AF_INET, "192.0.2.9"), HOST_MAC) >= 0, "neighbour4");
    expect(pronghorn_engine_neighbour6(router, 1, address(AF_INET6, "2001:db8:1::9"), HOST_MAC) >= 0, "neighbour6");
    expect(pronghorn_engine_address4(router, 0, address(AF_INET, "224.0.0.1"), 24) == PRONGHORN_NET_BAD_ADDRESS,
           "a group is no address");

    uint8_t packet[2048];
    pronghorn_engine_inject_ip(router, 1, packet, echo4(packet, "192.0.2.9", "198.51.100.2"), 5 * SECOND);
    pronghorn_engine_inject_ip(router, 1, packet, echo6(packet, "2001:db8:1::9", "2001:db8:2::2"), 5 * SECOND);
    run(router, server, 100 * SECOND);
    int replies = 0;
    int64_t when, octets;
    while ((when = pronghorn_engine_take_time(router, 1)) >= 0) {
        octets = pronghorn_engine_take(router, 1, packet, sizeof packet);
        print("host", when, packet, octets);
        if (is_reply(packet + 14, (int)octets - 14)) {
            replies++;
            /* The server is asked for, answers, gets the request and replies; of IPv6 it asks for the router first,
             * which asked from its link-local address. */
            expect(when == 5 * SECOND + (packet[12] == 0x08 ? 4 : 6) * DELAY, "the time of the reply");
        }
    }
    expect(replies == 2, "two replies");
    expect(pronghorn_engine_next(router) == -1 && pronghorn_engine_next(server) == -1, "quiet in the end");
    printf("ended at %lld\n", (long long)pronghorn_engine_clock(server));
    pronghorn_engine_destroy(router);
    pronghorn_engine_destroy(server);
}

/* --- sockets ---------------------------------------------------------------------------------------------------- */

/* A stream from a client to a server over both families: connect, send, read TCP_INFO, close. */
static void streams(int family)
{
    engine *client = create(5, 1, 0), *server = create(6, 1, 0);
    struct pronghorn_address there = {0}, peer = {0};
    pronghorn_engine_address4(client, 0, address(AF_INET, "10.0.0.1"), 24);
    pronghorn_engine_address4(server, 0, address(AF_INET, "10.0.0.2"), 24);
    pronghorn_engine_address6(client, 0, address(AF_INET6, "2001:db8::1"), 64);
    pronghorn_engine_address6(server, 0, address(AF_INET6, "2001:db8::2"), 64);
    if (family == 4)
        pronghorn_engine_endpoint4(&there, address(AF_INET, "10.0.0.2"), 80);
    else
        pronghorn_engine_endpoint6(&there, address(AF_INET6, "2001:db8::2"), 80);

    int64_t listener = pronghorn_socket(server, family, PRONGHORN_STREAM);
    expect(listener >= 0 && pronghorn_bind(server, listener, &there) == 0, "bind");
    expect(pronghorn_listen(server, listener, 8) == 0, "listen");
    int64_t own = pronghorn_socket(client, family, PRONGHORN_STREAM);
    expect(pronghorn_connect(client, own, &there) == -EINPROGRESS, "connect");
    expect(pronghorn_engine_next(client) == 0, "a call that has something to send makes a turn due");
    run(client, server, SECOND);
    int64_t accepted = pronghorn_accept(server, listener, &peer);
    expect(accepted >= 0 && peer.family == family, "accept");

    char text[] = "hello, world", got[64] = {0};
    expect(pronghorn_send(client, own, (int64_t)(intptr_t)text, 12, 0) == 12, "send");
    run(client, server, 2 * SECOND);
    expect(pronghorn_receive(server, accepted, (int64_t)(intptr_t)got, 64, 0) == 12, "receive");
    expect(strcmp(got, text) == 0, "what was received");
    uint8_t info[256] = {0};
    expect(pronghorn_get_option(client, own, 6, 11, (int64_t)(intptr_t)info, sizeof info) > 100, "TCP_INFO");
    expect(info[0] == 1, "ESTABLISHED");
    expect(pronghorn_close_socket(client, own) == 0 && pronghorn_close_socket(server, accepted) == 0, "close");
    run(client, server, 1000 * SECOND);
    expect(pronghorn_engine_next(client) == -1 && pronghorn_engine_next(server) == -1, "quiet in the end");
    pronghorn_engine_destroy(client);
    pronghorn_engine_destroy(server);
}

/* --- raw IP ----------------------------------------------------------------------------------------------------- */

static void raw_ip(void)
{
    engine *own = create(3, 1, PRONGHORN_ENGINE_RAW_IP);
    expect(pronghorn_engine_address4(own, 0, address(AF_INET, "10.0.0.1"), 24) >= 0, "address4");
    expect(pronghorn_engine_address6(own, 0, address(AF_INET6, "2001:db8::1"), 128) >= 0, "address6");
    expect(pronghorn_engine_route6(own, 0, address(AF_INET6, "::"), 0, NULL) >= 0, "route6");
    uint8_t packet[2048];
    pronghorn_engine_inject_ip(own, 0, packet, echo4(packet, "10.0.0.2", "10.0.0.1"), 10);
    pronghorn_engine_inject_ip(own, 0, packet, echo6(packet, "2001:db8:9::2", "2001:db8::1"), 20);
    pronghorn_engine_inject_ip(own, 0, packet, echo6(packet, "fe80::2", "2001:db8::1"), 30);
    expect(pronghorn_engine_turn(own, 10) == 1 && pronghorn_engine_next(own) == 10, "work, so another turn");
    pronghorn_engine_advance(own, SECOND);
    for (int64_t when = 10; when <= 30; when += 10) {
        expect(pronghorn_engine_take_time(own, 0) == when, "answered at once");
        expect(pronghorn_engine_take(own, 0, packet, 10) == (when == 10 ? -40 : -60), "too little room");
        int64_t octets = pronghorn_engine_take(own, 0, packet, sizeof packet);
        expect(is_reply(packet, (int)octets), "a reply without Ethernet header");
        print("raw", when, packet, octets);
    }
    expect(pronghorn_engine_take(own, 0, packet, sizeof packet) == 0, "nobody was asked for");
    expect(pronghorn_engine_next(own) == -1, "quiet in the end");
    pronghorn_engine_destroy(own);
}

/* --- what cannot be --------------------------------------------------------------------------------------------- */

static void refused(void)
{
    struct pronghorn_engineconfiguration configuration = {0};
    configuration.mtu = 100;
    expect(pronghorn_engine_create(&configuration) == NULL, "MTU 100");
    expect(configuration.error == PRONGHORN_ENGINE_BAD_VALUE, "error");
    expect(configuration.wrong == offsetof(struct pronghorn_engineconfiguration, mtu), "the field that is wrong");
    memset(&configuration, 0, sizeof configuration);
    configuration.packets = configuration.large_packets = 1 << 20; /* 70 GB */
    expect(pronghorn_engine_create(&configuration) == NULL, "more than can be reserved");
    expect(configuration.error == PRONGHORN_ENGINE_NO_MEMORY, "error");
    engine *own = create(4, 1, 0);
    uint8_t packet[64] = {0};
    expect(pronghorn_engine_inject(own, 1, packet, 60, 0) == -1, "no such port");
    expect(pronghorn_engine_inject(own, 0, packet, 13, 0) == -1, "too short");
    expect(pronghorn_engine_inject_ip(own, 0, packet, 60, 0) == -1, "version 0");
    expect(pronghorn_engine_take_time(own, -1) == -1, "no such port");
    pronghorn_engine_destroy(own);
}

/* --- cost ------------------------------------------------------------------------------------------------------- */

static long resident(void)
{
    long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    expect(file != NULL && fscanf(file, "%ld %ld", &size, &pages) == 2, "statm");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void cost(void)
{
    struct timespec begin, end;
    engine *made[100];
    pronghorn_engine_destroy(create(1, 1, 0)); /* code and libc are touched */
    long before = resident();
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int number = 0; number < 100; number++)
        made[number] = create((uint64_t)number + 1, 1, 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    long octets = (resident() - before) / 100;
    for (int number = 0; number < 100; number++)
        pronghorn_engine_destroy(made[number]);
    int64_t passed = (end.tv_sec - begin.tv_sec) * SECOND + end.tv_nsec - begin.tv_nsec;
    printf("%lld ns, %ld octets\n", (long long)passed / 100, octets);
}

int main(int count, char **arguments)
{
    (void)arguments;
    if (count > 1) {
        cost();
        return 0;
    }
    two_engines();
    streams(4);
    streams(6);
    raw_ip();
    refused();
    return 0;
}
