/* A client of an echo server: `echo_client ADDRESS PORT CONNECTIONS SECONDS`.
 *
 * Each connection sends 64 octets, awaits 64, sends again. Prints how many answers came and the seconds that it took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { OCTETS = 64, EVENTS = 256, MOST = 4096 };

static int had[MOST + 64];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int count, char **words) {
    if (count != 5) return 2;
    int connections = atoi(words[3]), epoll = epoll_create1(0), one = 1;
    double limit = atof(words[4]);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
    char octets[OCTETS], room[OCTETS];
    if (connections < 1 || connections > MOST || inet_pton(AF_INET, words[1], &to.sin_addr) != 1) return 2;
    memset(octets, 'x', sizeof octets);
    for (int i = 0; i < connections; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || fd >= MOST + 64) die("socket");
        if (connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
        if (write(fd, octets, OCTETS) != OCTETS) die("write");
    }
    long answers = 0;
    double start = now(), end = start;
    while (end - start < limit) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, 1000);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            ssize_t got = recv(fd, room, OCTETS - had[fd], MSG_DONTWAIT);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0) die("recv");
            had[fd] += got;
            if (had[fd] < OCTETS) continue;
            had[fd] = 0;
            answers++;
            if (write(fd, octets, OCTETS) != OCTETS) die("write");
        }
        end = now();
    }
    printf("%ld %f\n", answers, end - start);
    return 0;
}
