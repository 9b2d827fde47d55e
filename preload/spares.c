/*
 * The kernel's sockets behind the numbers of outgoing connections, used again. socket() has to give a number that a
 * kernel's socket stands behind, as the path is decided later; making and ending one costs microseconds, and when the path
 * is ours nobody has touched it. So when such a number is closed, its socket is kept at a hidden one; the next socket() is a
 * duplicate of that. File status flags are the description's then, until the kernel takes the socket.
 *
 * What could be seen of an earlier use, or by another process, is not kept: sockets with options, bound ones, those that
 * were there at a fork.
 */
#include "preload.h"

#include <fcntl.h>
#include <sys/stat.h>

#define SPARES 64 /* each is a number more */

static struct spare {
    int fd; /* hidden */
    bool used;
    uint8_t family;
} spares[SPARES];
static int count;

int spare_take(int family, bool on_exec, int *place)
{
    for (*place = 0; *place < count; ++*place) {
        struct spare *spare = &spares[*place];
        if (spare->fd >= 0 && !spare->used && spare->family == family && description_of(spare->fd) != NULL) {
            int fd = LIBC->fcntl(spare->fd, on_exec ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
            spare->used = fd >= 0;
            return fd;
        }
    }
    return -1;
}

static bool is_untouched(const struct description *description)
{
    return description->path == PATH_OURS && description->type == SOCK_STREAM && description->connected &&
           !description->fixed && !description->placeholder && !description->touched && !description->foreign &&
           !description->listening && description->options == NULL;
}

/* It is a kernel's TCP socket of the family for certain: the number may have been closed behind our back. */
static bool is_stream(int fd, const struct description *description)
{
    struct stat facts;
    int found = 0, protocol = 0;
    socklen_t octets = sizeof found;
    return fstat(fd, &facts) == 0 && S_ISSOCK(facts.st_mode) &&
           LIBC->getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &found, &octets) == 0 && found == description->family &&
           LIBC->getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &octets) == 0 && protocol == description->protocol;
}

/* One that is of no use any more, or that the kernel takes. */
void spare_let_go(struct description *description)
{
    if (description->spare == 0)
        return;
    unhide_close(spares[description->spare - 1].fd);
    spares[description->spare - 1].fd = -1;
    description->spare = 0;
}

void spare_settle(struct description *description)
{
    if (description->spare == 0)
        return;
    spare_let_go(description);
    LIBC->fcntl(description->fd, F_SETFL, description->flags & ~O_ACCMODE);
}

static void add(int fd, int family)
{
    int place = 0;
    while (place < count && spares[place].fd >= 0)
        place++;
    if (place == SPARES)
        return;
    int hidden = hide_copy(fd);
    if (hidden < 0)
        return;
    LIBC->fcntl(hidden, F_SETFL, 0);
    spares[place] = (struct spare){.fd = hidden, .family = (uint8_t)family};
    if (place == count)
        count++;
}

void spare_keep(int fd, struct description *description)
{
    if (description->references != 1)
        return;
    bool untouched = is_untouched(description);
    if (description->spare != 0 && untouched) {
        spares[description->spare - 1].used = false;
        description->spare = 0;
    } else if (description->spare != 0) {
        spare_let_go(description);
    } else if (untouched && is_stream(fd, description)) {
        add(fd, description->family);
    }
}

static bool forget(struct description *description, void *unused)
{
    (void)unused;
    if (description->spare != 0)
        LIBC->fcntl(description->fd, F_SETFL, description->flags & ~O_ACCMODE);
    description->spare = 0;
    description->touched = true;
    return true;
}

void spares_forget(void)
{
    descriptions_each(forget, NULL);
    while (count > 0)
        if (spares[--count].fd >= 0)
            unhide_close(spares[count].fd);
}
