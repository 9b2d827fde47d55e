/*
 * exec: a memfd of the sockets that are not close-on-exec, named in PRONGHORN_INHERIT; the new image finds them foreign, as
 * after a fork. Connections end.
 */
#include "fork.h"

#include <alloca.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define INHERIT "PRONGHORN_INHERIT"

extern char **environ;

struct testament {
    int fd;   /* the memfd; -1 */
    int lost; /* connections that the new image would have had */
};

/* No lock, no allocation: nothing of the process is changed, as exec may fail. */
static bool bequeath(struct description *description, void *context)
{
    struct testament *testament = context;
    struct legacy legacy;
    if (description->path < PATH_OURS)
        return true;
    int end = descriptions_end(), fd = 0;
    while (fd < end && (descriptions[fd] != description || (LIBC->fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0))
        fd++;
    if (fd == end)
        return true;
    if (is_connection(description)) {
        testament->lost++;
        return true;
    }
    if (description->foreign && description->legacy != NULL)
        legacy = *(struct legacy *)description->legacy;
    else if (description->handle >= 0 && process.worker != NULL)
        write_down(description, &legacy);
    else
        return true;
    for (; fd < end; fd++) {
        if (descriptions[fd] != description || (LIBC->fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0)
            continue;
        legacy.fd = fd;
        legacy.backlog = description->backlog;
        legacy.flags = description->flags;
        legacy.protocol = description->protocol;
        legacy.path = description->path;
        legacy.family = description->family;
        legacy.type = description->type;
        if (testament->fd < 0)
            testament->fd = memfd_create("pronghorn-inherit", 0);
        if (testament->fd >= 0 && LIBC->write(testament->fd, &legacy, sizeof legacy) != sizeof legacy)
            return false;
    }
    return true;
}

static int entries(char *const *list)
{
    int count = 0;
    while (list != NULL && list[count] != NULL)
        count++;
    return count;
}

static int make_testament(void)
{
    struct testament testament = {.fd = -1};
    if (process.enabled)
        descriptions_each(bequeath, &testament);
    if (testament.lost != 0)
        report("exec", "exec ends %d connection(s): the new program cannot take them over", testament.lost);
    return testament.fd;
}

/* `room` has place for all of `list` and two more. */
static char *const *with_testament(int fd, char *const *list, char **room, char *text)
{
    if (fd < 0)
        return list;
    int count = 0;
    for (int place = 0; list != NULL && list[place] != NULL; place++)
        if (strncmp(list[place], INHERIT "=", sizeof INHERIT) != 0)
            room[count++] = list[place];
    sprintf(text, INHERIT "=%d", fd);
    room[count++] = text;
    room[count] = NULL;
    return room;
}

#define EXECUTE(list, call)                                                                                            \
    do {                                                                                                               \
        int testament = make_testament();                                                                              \
        char text[sizeof INHERIT + 16];                                                                                \
        char **room = alloca(((size_t)entries(list) + 2) * sizeof *room);                                              \
        char *const *environment = with_testament(testament, list, room, text);                                        \
        int result = call;                                                                                             \
        int error = errno;                                                                                             \
        if (testament >= 0)                                                                                            \
            LIBC->close(testament);                                                                                    \
        errno = error;                                                                                                 \
        return result;                                                                                                 \
    } while (0)

EXPORT int execve(const char *path, char *const *arguments, char *const *list)
{
    EXECUTE(list, LIBC->execve(path, arguments, environment));
}

EXPORT int execvpe(const char *file, char *const *arguments, char *const *list)
{
    EXECUTE(list, LIBC->execvpe(file, arguments, environment));
}

EXPORT int fexecve(int fd, char *const *arguments, char *const *list)
{
    EXECUTE(list, LIBC->fexecve(fd, arguments, environment));
}

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes, char *const *arguments, char *const *list)
{
    EXECUTE(list, LIBC->posix_spawn(pid, path, actions, attributes, arguments, environment));
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const *arguments, char *const *list)
{
    EXECUTE(list, LIBC->posix_spawnp(pid, file, actions, attributes, arguments, environment));
}

EXPORT int execv(const char *path, char *const *arguments)
{
    return execve(path, arguments, environ);
}

EXPORT int execvp(const char *file, char *const *arguments)
{
    return execvpe(file, arguments, environ);
}

/* The arguments of execl and its kind, up to and with NULL; `last` is the list behind the first. */
#define GATHER(first, last)                                                                                            \
    va_list last, copy;                                                                                                \
    va_start(last, first);                                                                                             \
    va_copy(copy, last);                                                                                               \
    int count = 1;                                                                                                     \
    for (const char *each = first; each != NULL; each = va_arg(copy, const char *))                                    \
        count++;                                                                                                       \
    va_end(copy);                                                                                                      \
    char **arguments = alloca((size_t)count * sizeof *arguments);                                                      \
    arguments[0] = (char *)first;                                                                                      \
    for (int place = 1; place < count; place++)                                                                        \
        arguments[place] = va_arg(last, char *)

EXPORT int execl(const char *path, const char *first, ...)
{
    GATHER(first, rest);
    va_end(rest);
    return execve(path, arguments, environ);
}

EXPORT int execlp(const char *file, const char *first, ...)
{
    GATHER(first, rest);
    va_end(rest);
    return execvpe(file, arguments, environ);
}

EXPORT int execle(const char *path, const char *first, ...)
{
    GATHER(first, rest);
    char **list = va_arg(rest, char **);
    va_end(rest);
    return execve(path, arguments, list);
}

/* What the image before has left. */
static void read_all(int fd)
{
    struct legacy legacy;
    if (lseek(fd, 0, SEEK_SET) != 0)
        return;
    while (LIBC->read(fd, &legacy, sizeof legacy) == sizeof legacy) {
        struct legacy *copy = malloc(sizeof *copy);
        struct description *made = copy != NULL && fcntl(legacy.fd, F_GETFD) >= 0 && legacy.path >= PATH_OURS &&
                                           legacy.path <= PATH_BOTH
                                       ? description_new(legacy.fd, legacy.path)
                                       : NULL;
        if (made == NULL) {
            free(copy);
            continue;
        }
        *copy = legacy;
        copy->waiting = NULL; /* it lay in the image before */
        copy->octets = 0;
        made->family = legacy.family;
        made->type = legacy.type;
        made->protocol = legacy.protocol;
        made->flags = legacy.flags;
        made->backlog = legacy.backlog;
        made->listening = legacy.listening;
        made->connected = legacy.connected;
        made->fixed = made->inherited = true;
        made->legacy = copy;
        made->foreign = fork_inherits = true;
    }
}

void read_testament(void)
{
    const char *text = getenv(INHERIT);
    if (text == NULL)
        return;
    int fd = atoi(text);
    struct stat facts;
    if (process.enabled && fd > 2 && fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode))
        read_all(fd);
    if (fd > 2)
        LIBC->close(fd);
    unsetenv(INHERIT);
}
