/* Linux's own TCP over loopback: an epoll echo server and an epoll client, two processes.
 *
 *   loopback requests CONNECTIONS SECONDS SERVER_CORE CLIENT_CORE
 *       every connection stays open; the client sends 64 octets, awaits 64, sends again
 *   loopback connections CONCURRENT SECONDS SERVER_CORE CLIENT_CORE
 *       connect, one request, one reply, close by the client; so many at a time
 *
 * Prints four numbers: what was done, seconds, CPU seconds of the server, CPU seconds of the client; kernel time is in
 * both, softirq work included where the kernel accounts it to the process it interrupts (no IRQ_TIME_ACCOUNTING). The
 * cores may be the same one. A network namespace of its own, where allowed, keeps other people's rules out.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OCTETS = 64, EVENTS = 512, PORT = 9000, TARGETS = 200 };

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set)) die("sched_setaffinity");
}

static double seconds(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t)) die("clock_gettime");
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void own_network(void) {
    if (unshare(CLONE_NEWNET)) return;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq lo = {.ifr_name = "lo"};
    if (ioctl(fd, SIOCGIFFLAGS, &lo)) die("SIOCGIFFLAGS");
    lo.ifr_flags |= IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &lo)) die("SIOCSIFFLAGS");
    close(fd);
    FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "w");
    if (range) {
        fputs("1024 65535\n", range);
        fclose(range);
    }
}

static void watch(int epoll, int fd, unsigned events, int op) {
    struct epoll_event e = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, op, fd, &e)) die("epoll_ctl");
}

static void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void serve(int listener) {
    int epoll = epoll_create1(0);
    struct epoll_event ready[EVENTS];
    char octets[4096];
    watch(epoll, listener, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        int count = epoll_wait(epoll, ready, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    no_delay(fd);
                    watch(epoll, fd, EPOLLIN, EPOLL_CTL_ADD);
                }
                continue;
            }
            ssize_t got = recv(fd, octets, sizeof octets, 0);
            if (got > 0)
                send(fd, octets, got, MSG_NOSIGNAL);
            else if (got == 0 || errno != EAGAIN)
                close(fd);
        }
    }
}

static int epoll;
static unsigned next_target;

static void connect_one(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    to.sin_addr.s_addr = htonl(0x7f000001 + next_target++ % TARGETS);
    no_delay(fd);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) die("connect");
    watch(epoll, fd, EPOLLOUT, EPOLL_CTL_ADD);
}

static long exchange(struct epoll_event *event, int closing) {
    char octets[OCTETS] = "ping";
    int fd = event->data.fd;
    if (event->events & EPOLLOUT) {
        if (send(fd, octets, OCTETS, MSG_NOSIGNAL) != OCTETS) die("send");
        watch(epoll, fd, EPOLLIN, EPOLL_CTL_MOD);
        return 0;
    }
    if (recv(fd, octets, OCTETS, 0) != OCTETS) die("recv");
    if (closing) {
        close(fd);
        connect_one();
    } else if (send(fd, octets, OCTETS, MSG_NOSIGNAL) != OCTETS) {
        die("send");
    }
    return 1;
}

static long run(double until, int closing) {
    struct epoll_event ready[EVENTS];
    long done = 0;
    while (seconds(CLOCK_MONOTONIC) < until) {
        int count = epoll_wait(epoll, ready, EVENTS, 1000);
        for (int i = 0; i < count; i++) done += exchange(&ready[i], closing);
    }
    return done;
}

int main(int argc, char **argv) {
    if (argc != 6) return fprintf(stderr, "usage: loopback requests|connections N SECONDS CORE CORE\n"), 2;
    int closing = !strcmp(argv[1], "connections"), connections = atoi(argv[2]);
    double span = atof(argv[3]);
    own_network();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 4096)) die("listen");
    pid_t server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(atoi(argv[4]));
        serve(listener);
    }
    pin(atoi(argv[5]));
    epoll = epoll_create1(0);
    for (int i = 0; i < connections; i++) connect_one();
    run(seconds(CLOCK_MONOTONIC) + 0.3, closing);
    clockid_t clock;
    if (clock_getcpuclockid(server, &clock)) die("clock_getcpuclockid");
    double begin = seconds(CLOCK_MONOTONIC), theirs = seconds(clock), ours = seconds(CLOCK_PROCESS_CPUTIME_ID);
    long done = run(begin + span, closing);
    double end = seconds(CLOCK_MONOTONIC);
    printf("%ld %.6f %.6f %.6f\n", done, end - begin, seconds(clock) - theirs,
           seconds(CLOCK_PROCESS_CPUTIME_ID) - ours);
    kill(server, SIGKILL);
    return 0;
}
