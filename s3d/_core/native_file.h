/* Writing and publishing data files: whole sequences of system calls, so that a thread takes the GIL back once and
 * not after each of them. All return 0 or -errno, repeat on EINTR, and never close what they were given. */
#ifndef S3D_NATIVE_FILE_H
#define S3D_NATIVE_FILE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Not declared by the headers that CPython's feature macros leave us. */
#ifndef O_TMPFILE
#define O_TMPFILE (020000000 | O_DIRECTORY)
#endif

static inline int64_t s3d_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A file without a name in `directory` (open(2), O_TMPFILE); the descriptor, or -errno. -EOPNOTSUPP, -EISDIR or -ENOENT
 * (older kernels) where the file system has no such files. */
static inline int s3d_open_anonymous(const char *directory)
{
    int fd;
    do
        fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

/* A file that must not be there yet; the descriptor, or -errno. */
static inline int s3d_open_named(const char *path)
{
    int fd;
    do
        fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

/* All of `data` at `offset`; a short write is gone on with, so that the next one tells why (ENOSPC, EFBIG). */
static inline int s3d_write_all(int fd, const uint8_t *data, size_t size, int64_t offset)
{
    while (size) {
        ssize_t written = pwrite(fd, data, size, (off_t)offset);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (written == 0)
            return -EIO;
        data += written;
        size -= (size_t)written;
        offset += written;
    }
    return 0;
}

static inline int s3d_datasync(int fd)
{
    /* Never repeated, not even on EINTR: after a failure the kernel has dropped the pages it could not write. */
    return fdatasync(fd) < 0 ? -errno : 0;
}

/* Begin to write a range back, so that little is left to do for the sync at the end; its failures show there. */
static inline void s3d_begin_writeback(int fd, int64_t offset, int64_t size)
{
    (void)sync_file_range(fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

/* Give the file a name, which must be free: from its temporary name, or from none (open(2), the example of O_TMPFILE,
 * through /proc: AT_EMPTY_PATH wants CAP_DAC_READ_SEARCH on kernels before 6.10). */
static inline int s3d_name_file(int fd, const char *temporary, const char *path)
{
    char link[32];
    if (temporary != NULL) {
        /* link and not rename: it refuses to replace what is there. */
        if (linkat(AT_FDCWD, temporary, AT_FDCWD, path, 0) < 0)
            return -errno;
        unlink(temporary);
        return 0;
    }
    if (linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != ENOENT && errno != EINVAL && errno != EPERM)
        return -errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* A directory whose fsync is shared by all threads that gave a file a name in it while the one before ran. */
typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    uint64_t started, finished; /* syncs so far; one at a time */
    uint64_t first_failed;      /* 0: none has */
    int error;                  /* of that one: -errno */
    uint64_t last_refused;      /* the last that could not even begin, such as for want of a descriptor */
    int refusal;                /* why: -errno */
} s3d_directory;

static inline void s3d_directory_init(s3d_directory *directory)
{
    pthread_mutex_init(&directory->mutex, NULL);
    pthread_cond_init(&directory->ended, NULL);
    directory->started = directory->finished = directory->first_failed = 0;
    directory->error = 0;
    directory->last_refused = 0;
    directory->refusal = 0;
}

static inline void s3d_directory_destroy(s3d_directory *directory)
{
    pthread_cond_destroy(&directory->ended);
    pthread_mutex_destroy(&directory->mutex);
}

/* `begun` tells whether fsync was called: only then may the kernel have dropped what it could not write. */
static inline int s3d_fsync_path(const char *path, int *begun)
{
    int result = 0, fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *begun = fd >= 0;
    if (fd < 0)
        return -errno;
    if (fsync(fd) < 0)
        result = -errno;
    close(fd);
    return result;
}

/* Wait until an fsync that began after this call has ended; 0 or -errno. Once one has failed, so do all that follow:
 * the next one would succeed without having written what the failed one dropped. */
static inline int s3d_directory_sync(s3d_directory *directory, const char *path)
{
    int result, begun;
    uint64_t wanted, mine;
    pthread_mutex_lock(&directory->mutex);
    wanted = directory->started + 1;
    while (directory->finished < wanted) {
        if (directory->started > directory->finished) {
            pthread_cond_wait(&directory->ended, &directory->mutex);
            continue;
        }
        mine = ++directory->started;
        pthread_mutex_unlock(&directory->mutex);
        result = s3d_fsync_path(path, &begun);
        pthread_mutex_lock(&directory->mutex);
        directory->finished = mine;
        if (result < 0 && !begun) {
            directory->last_refused = mine;
            directory->refusal = result;
        } else if (result < 0 && directory->first_failed == 0) {
            directory->first_failed = mine;
            directory->error = result;
        }
        pthread_cond_broadcast(&directory->ended);
    }
    result = directory->first_failed != 0 && wanted >= directory->first_failed ? directory->error : 0;
    /* The sync that was waited for may have been refused; a later one stands for it only once it has succeeded. */
    if (result == 0 && directory->last_refused >= wanted)
        result = directory->refusal;
    pthread_mutex_unlock(&directory->mutex);
    return result;
}

#endif
