/* An echo server: `echo_server PORT`. Says "ready" when it listens, and "busy" when it has echoed a hundred times. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 64, ROOM = 65536, BUSY = 100 };

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

int main(int count, char **words) {
    static char room[ROOM];
    if (count != 2) return 2;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, epoll = epoll_create1(0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 128)) die("listen");
    watch(epoll, listener);
    puts("ready");
    fflush(stdout);
    for (long echoed = 0;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int made = accept(listener, NULL, NULL);
                if (made >= 0) watch(epoll, made);
                continue;
            }
            ssize_t got = recv(fd, room, sizeof room, MSG_DONTWAIT);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0 || send(fd, room, got, MSG_NOSIGNAL) != got) {
                close(fd);
                continue;
            }
            if (++echoed == BUSY) {
                puts("busy");
                fflush(stdout);
            }
        }
    }
}
