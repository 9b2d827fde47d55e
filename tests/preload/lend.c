/*
 * Sending and receiving without a copy, by the functions of pronghorn-preload.h; without them, by write and read.
 *
 *     lend ADDRESS PORT       peer.py listens there
 */
#include "pronghorn-preload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int wrong;
static const char *far_address;
static int far_port;

static void check(const char *what, long result, long expected, int error)
{
    if (result == expected && (result != -1 || errno == error))
        return;
    printf("%s: %ld, %s\n", what, result, strerror(errno));
    wrong++;
}

static int open_to(const char *command)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)far_port)};
    inet_pton(AF_INET, far_address, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 || send(fd, command, strlen(command), 0) < 0) {
        perror("connect");
        exit(1);
    }
    return fd;
}

/* Everything that is echoed has to be what was sent. Rings wrap and grow meanwhile. */
static void carry(size_t octets)
{
    int fd = open_to("echo\n");
    size_t sent = 0, seen = 0;
    while (seen < octets) {
        void *room;
        const void *data;
        size_t step = 1 + seen % 70001;
        if (sent < octets) {
            ssize_t there = pronghorn_fd_send_buffer(fd, step < octets - sent ? step : octets - sent, &room);
            if (there <= 0) {
                check("send_buffer", there, 1, 0);
                return;
            }
            for (ssize_t place = 0; place < there; place++)
                ((unsigned char *)room)[place] = (unsigned char)((sent + (size_t)place) * 31 >> 3);
            there -= there > 10 ? 3 : 0; /* not all of it */
            check("commit", pronghorn_fd_commit(fd, (size_t)there), there, 0);
            sent += (size_t)there;
        }
        ssize_t come = pronghorn_fd_receive_view(fd, &data);
        if (come <= 0) {
            check("receive_view", come, 1, 0);
            return;
        }
        come -= come > 10 ? 3 : 0;
        for (ssize_t place = 0; place < come; place++)
            if (((const unsigned char *)data)[place] != (unsigned char)((seen + (size_t)place) * 31 >> 3)) {
                printf("octet %zu is wrong\n", seen + (size_t)place);
                exit(1);
            }
        check("receive_release", pronghorn_fd_receive_release(fd, (size_t)come), 0, 0);
        seen += (size_t)come;
    }
    const void *data;
    shutdown(fd, SHUT_WR);
    check("the end", pronghorn_fd_receive_view(fd, &data), 0, 0);
    check("nothing to give back", pronghorn_fd_receive_release(fd, 0), -1, EINVAL);
    void *room;
    check("after the end", pronghorn_fd_send_buffer(fd, 1, &room), -1, EPIPE);
    close(fd);
}

/* Room for 100 octets: what is lent ends where the ring does, and begins again with it. */
static void *room_for_100(int fd)
{
    void *room;
    char octets[100];
    ssize_t there;
    while ((there = pronghorn_fd_send_buffer(fd, 100, &room)) > 0 && there < 100) {
        memset(room, 'x', (size_t)there);
        check("commit before the wrap", pronghorn_fd_commit(fd, (size_t)there), there, 0);
        check("its echo", recv(fd, octets, (size_t)there, MSG_WAITALL), there, 0);
    }
    check("room", there, 100, 0);
    return room;
}

static void ownership(void)
{
    int fd = open_to("echo\n");
    void *room, *kept;
    const void *data;
    char octets[5];
    check("commit of nothing", pronghorn_fd_commit(fd, 1), -1, EINVAL);
    check("commit of nothing, 0", pronghorn_fd_commit(fd, 0), -1, EINVAL);
    check("release of nothing", pronghorn_fd_receive_release(fd, 1), -1, EINVAL);
    check("no room wanted", pronghorn_fd_send_buffer(fd, 0, &room), -1, EINVAL);
    check("nowhere", pronghorn_fd_send_buffer(fd, 1, NULL), -1, EFAULT);
    room = room_for_100(fd);
    check("room twice", pronghorn_fd_send_buffer(fd, 100, &kept), -1, EBUSY);
    check("write meanwhile", write(fd, "x", 1), -1, EBUSY);
    check("more than lent", pronghorn_fd_commit(fd, 101), -1, EINVAL);
    memcpy(room, "hello", 5);
    check("commit", pronghorn_fd_commit(fd, 5), 5, 0);
    check("commit twice", pronghorn_fd_commit(fd, 5), -1, EINVAL);
    ssize_t come = pronghorn_fd_receive_view(fd, &data);
    check("view", come > 0 && come <= 5, 1, 0);
    check("what has come", memcmp(data, "hello", (size_t)come), 0, 0);
    check("view twice", pronghorn_fd_receive_view(fd, &data), -1, EBUSY);
    check("read meanwhile", read(fd, octets, 1), -1, EBUSY);
    check("more than has come", pronghorn_fd_receive_release(fd, 6), -1, EINVAL);
    check("release", pronghorn_fd_receive_release(fd, (size_t)come - 1), 0, 0);
    check("the rest", recv(fd, octets, 6 - (size_t)come, MSG_WAITALL), 6 - come, 0);
    check("its octets", memcmp(octets, "hello" + come - 1, 6 - (size_t)come), 0, 0);
    room_for_100(fd);
    check("given up", pronghorn_fd_commit(fd, 0), 0, 0);

    fcntl(fd, F_SETFL, O_NONBLOCK);
    check("nothing now", pronghorn_fd_receive_view(fd, &data), -1, EAGAIN);
    fcntl(fd, F_SETFL, 0);
    struct timeval timeout = {0, 50000}, never = {0, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    time_t before = time(NULL);
    check("nothing in time", pronghorn_fd_receive_view(fd, &data), -1, EAGAIN);
    check("in time", time(NULL) - before <= 2, 1, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof never);

    kept = room_for_100(fd);
    close(fd);
    memset(kept, 1, 100); /* still ours */
    check("closed", pronghorn_fd_commit(fd, 1), -1, EBADF);
    check("given back", pronghorn_fd_loan_release(kept), 0, 0);
    check("given back twice", pronghorn_fd_loan_release(kept), -1, EINVAL);
}

/* As send() and recv() of a full and of an empty socket. */
static void full(void)
{
    int fd = open_to("hold 0.3\n");
    struct timeval timeout = {0, 50000};
    void *room;
    ssize_t there;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    while ((there = pronghorn_fd_send_buffer(fd, 1 << 20, &room)) > 0)
        if (pronghorn_fd_commit(fd, (size_t)there) != there)
            break;
    check("no room in time", there, -1, EAGAIN);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    check("no room now", pronghorn_fd_send_buffer(fd, 1, &room), -1, EAGAIN);
    close(fd);
}

static void others(void)
{
    int pipes[2], stream = socket(AF_INET, SOCK_STREAM, 0), datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    void *room;
    const void *data;
    if (pipe(pipes) != 0)
        exit(1);
    check("a pipe", pronghorn_fd_send_buffer(pipes[1], 1, &room), -1, EOPNOTSUPP);
    check("a pipe", pronghorn_fd_receive_view(pipes[0], &data), -1, EOPNOTSUPP);
    check("datagrams", pronghorn_fd_send_buffer(datagrams, 1, &room), -1, EOPNOTSUPP);
    check("not connected", pronghorn_fd_send_buffer(stream, 1, &room), -1, ENOTCONN);
    check("not connected", pronghorn_fd_receive_view(stream, &data), -1, ENOTCONN);
    check("no descriptor", pronghorn_fd_receive_view(-1, &data), -1, EBADF);
    check("no descriptor", pronghorn_fd_commit(1000, 1), -1, EBADF);
    check("no loan", pronghorn_fd_loan_release(&data), -1, EINVAL);
}

int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    far_address = arguments[1];
    far_port = atoi(arguments[2]);
    if (pronghorn_fd_send_buffer == NULL) {
        int fd = open_to("echo\n");
        char octets[5];
        check("write", write(fd, "hello", 5), 5, 0);
        check("read", recv(fd, octets, 5, MSG_WAITALL), 5, 0);
        printf("with copies, %d wrong\n", wrong);
        return wrong != 0;
    }
    carry(3000000);
    ownership();
    full();
    others();
    printf("without copies, %d wrong\n", wrong);
    return wrong != 0;
}
