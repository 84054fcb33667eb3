/* Makes file-system calls fail, and writes down their order; loaded by LD_PRELOAD.
 *
 * FAULTY: comma-separated `call:errno:nth` of open_anonymous, open_named, pwrite, fdatasync, fsync, linkat: the nth call
 * (from 1) and all that follow fail with that number, unless `nth` ends in "!": then that one alone. pwrite fails half
 * done where there is anything to halve. FAULTY_LOG: a file that gets a line for each call below FAULTY_ROOT.
 * FAULTY_SLOW_FSYNC: how many µs an fsync takes at least.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int below(const char *path)
{
    const char *root = getenv("FAULTY_ROOT");
    return root != NULL && strncmp(path, root, strlen(root)) == 0;
}

static int below_fd(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return 0;
    path[size] = 0;
    return below(path);
}

/* The errno with which this call is to fail, 0 if it is not. */
static int faulty(const char *call, int *count)
{
    const char *log = getenv("FAULTY_LOG"), *at = getenv("FAULTY");
    size_t size = strlen(call);
    int nth = __sync_add_and_fetch(count, 1);
    if (log != NULL) {
        char line[64];
        int fd = open(log, O_WRONLY | O_APPEND | O_CREAT, 0600);
        int length = snprintf(line, sizeof line, "%s\n", call);
        if (fd < 0 || write(fd, line, (size_t)length) != length)
            abort();
        close(fd);
    }
    for (; at != NULL && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        char *end;
        if (strncmp(at, call, size) != 0 || at[size] != ':')
            continue;
        int number = (int)strtol(at + size + 1, &end, 10);
        int from = (int)strtol(end + 1, &end, 10);
        if (*end == '!' ? nth == from : nth >= from)
            return number;
    }
    return 0;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int opened(const char *path, int flags)
{
    static int anonymous, named;
    if (!below(path))
        return 0;
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return faulty("open_anonymous", &anonymous);
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return faulty("open_named", &named);
    return 0;
}

#define OPEN(name)                                                \
    int name(const char *path, int flags, ...)                    \
    {                                                             \
        REAL(name);                                               \
        va_list rest;                                             \
        va_start(rest, flags);                                    \
        int mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, int) : 0; \
        va_end(rest);                                             \
        int error = opened(path, flags);                          \
        if (error) {                                              \
            errno = error;                                        \
            return -1;                                            \
        }                                                         \
        return real(path, flags, mode);                           \
    }
OPEN(open)
OPEN(open64)

#define PWRITE(name, offset_type)                                            \
    ssize_t name(int fd, const void *data, size_t size, offset_type offset)  \
    {                                                                        \
        static int count;                                                    \
        REAL(name);                                                          \
        int error = below_fd(fd) ? faulty("pwrite", &count) : 0;             \
        if (error && size > 1)                                               \
            return real(fd, data, size / 2, offset);                         \
        if (error) {                                                         \
            errno = error;                                                   \
            return -1;                                                       \
        }                                                                    \
        return real(fd, data, size, offset);                                 \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define SYNC(name)                                               \
    int name(int fd)                                             \
    {                                                            \
        static int count;                                        \
        REAL(name);                                              \
        int error = below_fd(fd) ? faulty(#name, &count) : 0;    \
        if (error) {                                             \
            errno = error;                                       \
            return -1;                                           \
        }                                                        \
        if (getenv("FAULTY_SLOW_FSYNC") != NULL && #name[1] == 's') \
            usleep((useconds_t)atoi(getenv("FAULTY_SLOW_FSYNC")));  \
        return real(fd);                                         \
    }
SYNC(fsync)
SYNC(fdatasync)

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags)
{
    static int count;
    REAL(linkat);
    int error = below(to) ? faulty("linkat", &count) : 0;
    if (error) {
        errno = error;
        return -1;
    }
    return real(from_directory, from, to_directory, to, flags);
}
