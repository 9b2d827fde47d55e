/*
 * What signals do to calls that wait, and calls from within handlers. Run on the kernel's sockets and on ours: the same.
 *
 *     signals ADDRESS PORT       peer.py listens there
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define TURNS 40

static volatile int handled, socket_of_handler = -1, bad;

static void handle(int number)
{
    (void)number;
    handled++;
    if (socket_of_handler >= 0) {
        char octet;
        ssize_t result = recv(socket_of_handler, &octet, 1, MSG_DONTWAIT | MSG_PEEK);
        if (result < 0 && errno != EAGAIN)
            bad++;
    }
}

static void arm(int flags, long first, long again)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
    struct itimerval timer = {{0, again}, {0, first}};
    handled = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static int open_to(const char *address, int port, const char *command)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, address, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 || send(fd, command, strlen(command), 0) < 0) {
        perror("connect");
        exit(1);
    }
    return fd;
}

int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    const char *address = arguments[1];
    int port = atoi(arguments[2]);
    char octets[64];

    int fd = open_to(address, port, "echo\n");
    arm(0, 50000, 0);
    ssize_t result = recv(fd, octets, 64, 0);
    printf("without SA_RESTART: %zd %s, handled %d\n", result, strerror(result < 0 ? errno : 0), handled);

    struct timeval patience = {0, 300000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    arm(SA_RESTART, 50000, 0);
    result = recv(fd, octets, 64, 0);
    printf("SA_RESTART and SO_RCVTIMEO: %zd %s, handled %d\n", result, strerror(result < 0 ? errno : 0), handled);
    result = recv(fd, octets, 64, 0);
    printf("then: %zd %s\n", result, strerror(result < 0 ? errno : 0));
    close(fd);

    fd = open_to(address, port, "parts 10 1\n");
    recv(fd, octets, 10, MSG_WAITALL);
    close(fd);
    fd = open_to(address, port, "hold 0.3\n");
    arm(SA_RESTART, 50000, 0);
    result = recv(fd, octets, 64, 0);
    printf("SA_RESTART: %zd, handled %d\n", result, handled);
    close(fd);

    struct sigaction other = {.sa_handler = handle}, before;
    sigaction(SIGUSR1, &other, NULL);
    fd = open_to(address, port, "hold 0.3\n");
    arm(SA_RESTART, 50000, 0);
    result = recv(fd, octets, 64, 0);
    printf("SA_RESTART beside a handler without: %zd, handled %d\n", result, handled);
    close(fd);
    sigaction(SIGUSR1, NULL, &before);
    printf("what was set: %d %d\n", before.sa_handler == handle, before.sa_flags & (SA_SIGINFO | SA_RESTART));
    printf("and by signal(): %d", signal(SIGUSR1, SIG_IGN) == handle);
    printf(" %d", signal(SIGUSR1, handle) == SIG_IGN);
    printf(" %d\n", signal(SIGUSR1, SIG_DFL) == handle);

    fd = open_to(address, port, "echo\n");
    int late = 0; /* those that the signal came before, of which a busy machine makes most, and all that slept on */
    for (int turn = 0; turn < TURNS; turn++) { /* in the first microseconds of the wait */
        struct timespec begun, ended;
        clock_gettime(CLOCK_MONOTONIC, &begun);
        arm(0, 15, 40000);
        result = recv(fd, octets, 64, 0);
        arm(0, 0, 0);
        clock_gettime(CLOCK_MONOTONIC, &ended);
        late += (ended.tv_sec - begun.tv_sec) * 1000 + (ended.tv_nsec - begun.tv_nsec) / 1000000 >= 35;
        if (result >= 0 || errno != EINTR)
            bad++;
    }
    printf("at once: %s, %d wrong\n", late < TURNS * 9 / 10 ? "ended" : "slept on", bad);
    close(fd);

    fd = open_to(address, port, "echo\n");
    socket_of_handler = fd;
    arm(SA_RESTART, 200, 200);
    for (int turn = 0; turn < 3000; turn++) {
        size_t there = 0;
        if (send(fd, octets, sizeof octets, 0) != sizeof octets)
            bad += 1000;
        while (there < sizeof octets) {
            result = recv(fd, octets, sizeof octets - there, 0);
            if (result <= 0) {
                bad += 1000;
                break;
            }
            there += (size_t)result;
        }
    }
    arm(SA_RESTART, 0, 0);
    printf("from within handlers: %d wrong\n", bad);
    return 0;
}
