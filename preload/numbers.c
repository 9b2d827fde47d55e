/*
 * syscall(2): programs that make system calls by their numbers mean sockets of ours, too. libuv, and so dig, sends its
 * datagrams by SYS_sendmmsg; Go and others that have no libc at all are not reached by this.
 */
#include "preload.h"

#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#define POINTER(place) ((void *)words[place])
#define NUMBER(place) ((int)words[place])

EXPORT long syscall(long number, ...)
{
    long words[6];
    va_list list;
    va_start(list, number);
    for (int place = 0; place < 6; place++)
        words[place] = va_arg(list, long);
    va_end(list);
    switch (number) {
    case SYS_sendmmsg:
        return sendmmsg(NUMBER(0), POINTER(1), (unsigned)words[2], NUMBER(3));
    case SYS_recvmmsg:
        return recvmmsg(NUMBER(0), POINTER(1), (unsigned)words[2], NUMBER(3), POINTER(4));
    case SYS_sendmsg:
        return sendmsg(NUMBER(0), POINTER(1), NUMBER(2));
    case SYS_recvmsg:
        return recvmsg(NUMBER(0), POINTER(1), NUMBER(2));
    case SYS_sendto:
        return sendto(NUMBER(0), POINTER(1), (size_t)words[2], NUMBER(3), POINTER(4), (socklen_t)words[5]);
    case SYS_recvfrom:
        return recvfrom(NUMBER(0), POINTER(1), (size_t)words[2], NUMBER(3), POINTER(4), POINTER(5));
    case SYS_accept4:
        return accept4(NUMBER(0), POINTER(1), POINTER(2), NUMBER(3));
    case SYS_read:
        return read(NUMBER(0), POINTER(1), (size_t)words[2]);
    case SYS_write:
        return write(NUMBER(0), POINTER(1), (size_t)words[2]);
    case SYS_close:
        return close(NUMBER(0));
    default:
        return LIBC->syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
    }
}
