/* Writes down every call by which a process changes one directory tree, for a replay of power cuts.
 *
 * Loaded by LD_PRELOAD. RECORD_ROOT: the tree, an absolute path without symbolic links. RECORD_LOG: the log; each record
 * is one write with O_APPEND, so that other processes can add marks of their own. RECORD_SWALLOW: comma-separated
 * patterns of fnmatch(3), "f:" for files or "d:" for directories and a path below the root: fsync and fdatasync of what
 * matches return success and do nothing, and the log has no trace of them. A file opened with O_TMPFILE is called
 * DIRECTORY/#tmp.
 *
 * A call and its record happen under one lock, so the log's order is the kernel's. A sync has two records, when it began
 * and when it returned: it vouches for what was written before it began. An HTTP answer is written down before it is
 * sent. What the replay does not understand (a shared writable mapping, sendfile into the tree) is written down as such.
 * Writes by stdio (RocksDB's LOG) pass unseen: libc calls itself past any preloaded function.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    OPEN = 1, CLOSE, DUP, WRITE, TRUNCATE, ALLOCATE, SYNC_BEGIN, SYNC_END, LINK_FD, LINK, RENAME, UNLINK, MKDIR, RMDIR,
    SEND, UNKNOWN, TRUNCATE_PATH, SYNC_ALL_BEGIN, SYNC_ALL_END,
};

struct record {
    uint32_t magic, kind;
    uint32_t pid;
    int32_t fd;
    int64_t a, b;
    uint32_t first_bytes, second_bytes;
};

#define MAGIC 0x53334452u
#define MAX_FD 65536
#define HEAD_BYTES 1024

static char *tracked[MAX_FD]; /* path of each open file in the tree */
static char root[PATH_MAX];
static size_t root_bytes;
static int log_fd = -1;
static char *swallow;
static int64_t syncs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("RECORD_ROOT"), *log = getenv("RECORD_LOG");
    if (!where || !log) return;
    snprintf(root, sizeof root, "%s", where);
    root_bytes = strlen(root);
    const char *patterns = getenv("RECORD_SWALLOW");
    swallow = patterns ? strdup(patterns) : NULL;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    /* Out of the way of those who count descriptors or reuse the lowest. */
    log_fd = fd < 0 ? -1 : (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900);
    if (log_fd < 0) {
        fprintf(stderr, "record: %s: %s\n", log, strerror(errno));
        abort();
    }
    syscall(SYS_close, fd);
}

static void put(enum kind kind, int fd, int64_t a, int64_t b, const struct iovec *pieces, int count, size_t first_bytes,
                const char *second) {
    struct iovec out[IOV_MAX < 64 ? IOV_MAX : 64];
    struct record head = {MAGIC, kind, (uint32_t)getpid(), fd, a, b, (uint32_t)first_bytes,
                          (uint32_t)(second ? strlen(second) : 0)};
    size_t left = first_bytes, total = sizeof head + first_bytes + head.second_bytes;
    int used = 0;
    char *joined = NULL;
    out[used++] = (struct iovec){&head, sizeof head};
    if (count > 60) {
        joined = malloc(first_bytes + 1);
        size_t done = 0;
        for (int i = 0; i < count && done < first_bytes; i++) {
            size_t some = pieces[i].iov_len < first_bytes - done ? pieces[i].iov_len : first_bytes - done;
            memcpy(joined + done, pieces[i].iov_base, some);
            done += some;
        }
        out[used++] = (struct iovec){joined, first_bytes};
    } else {
        for (int i = 0; i < count && left; i++) {
            size_t some = pieces[i].iov_len < left ? pieces[i].iov_len : left;
            out[used++] = (struct iovec){pieces[i].iov_base, some};
            left -= some;
        }
    }
    if (second) out[used++] = (struct iovec){(void *)second, head.second_bytes};
    if (syscall(SYS_writev, log_fd, out, used) != (long)total) {
        fprintf(stderr, "record: the log could not be written: %s\n", strerror(errno));
        abort();
    }
    free(joined);
}

static void put_text(enum kind kind, int fd, int64_t a, int64_t b, const char *first, const char *second) {
    struct iovec piece = {(void *)first, first ? strlen(first) : 0};
    put(kind, fd, a, b, &piece, 1, piece.iov_len, second);
}

static int inside(const char *path) {
    return log_fd >= 0 && strncmp(path, root, root_bytes) == 0 && (path[root_bytes] == '/' || path[root_bytes] == 0);
}

/* The absolute path of what a call names; true if it lies in the tree. */
static int locate(int directory, const char *path, char *out) {
    if (log_fd < 0 || !path) return 0;
    if (path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return inside(out);
    }
    char base[PATH_MAX];
    if (directory == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return 0;
    } else {
        char name[64];
        snprintf(name, sizeof name, "/proc/self/fd/%d", directory);
        ssize_t got = readlink(name, base, sizeof base - 1);
        if (got < 0) return 0;
        base[got] = 0;
    }
    if ((size_t)snprintf(out, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return 0;
    return inside(out);
}

static const char *below(const char *path) { return path[root_bytes] ? path + root_bytes + 1 : path + root_bytes; }

static const char *known(int fd) { return fd >= 0 && fd < MAX_FD && log_fd >= 0 ? tracked[fd] : NULL; }

static void track(int fd, const char *path, int temporary) {
    if (fd < 0 || fd >= MAX_FD) abort();
    free(tracked[fd]);
    tracked[fd] = NULL;
    if (path && asprintf(&tracked[fd], "%s%s", path, temporary ? "/#tmp" : "") < 0) abort();
}

/* Opening and closing. */

static int open_at(int directory, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    if (!locate(directory, path, full)) return (int)syscall(SYS_openat, directory, path, flags, mode);
    pthread_mutex_lock(&lock);
    int fd = (int)syscall(SYS_openat, directory, path, flags, mode), error = errno;
    if (fd >= 0) {
        track(fd, full, (flags & O_TMPFILE) == O_TMPFILE);
        put_text(OPEN, fd, flags, 0, below(full), NULL);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

static mode_t mode_of(int flags, va_list rest) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

#define OPENS(name)                                            \
    int name(const char *path, int flags, ...) {               \
        va_list rest;                                          \
        va_start(rest, flags);                                 \
        mode_t mode = mode_of(flags, rest);                    \
        va_end(rest);                                          \
        return open_at(AT_FDCWD, path, flags, mode);           \
    }
#define OPENS_AT(name)                                         \
    int name(int directory, const char *path, int flags, ...) {\
        va_list rest;                                          \
        va_start(rest, flags);                                 \
        mode_t mode = mode_of(flags, rest);                    \
        va_end(rest);                                          \
        return open_at(directory, path, flags, mode);          \
    }
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)
int __open_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int __openat_2(int directory, const char *path, int flags) { return open_at(directory, path, flags, 0); }
int __openat64_2(int directory, const char *path, int flags) { return open_at(directory, path, flags, 0); }
int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int close(int fd) {
    if (!known(fd)) return (int)syscall(SYS_close, fd);
    pthread_mutex_lock(&lock);
    put(CLOSE, fd, 0, 0, NULL, 0, 0, NULL);
    track(fd, NULL, 0);
    int result = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return result;
}

static int duplicated(int fd, int made) {
    if (made < 0 || made >= MAX_FD || log_fd < 0 || (!tracked[fd] && !tracked[made])) return made;
    pthread_mutex_lock(&lock);
    if (tracked[made]) put(CLOSE, made, 0, 0, NULL, 0, 0, NULL);
    if (tracked[fd]) put(DUP, fd, made, 0, NULL, 0, 0, NULL);
    track(made, tracked[fd], 0);
    pthread_mutex_unlock(&lock);
    return made;
}

int dup(int fd) { return duplicated(fd, (int)syscall(SYS_dup, fd)); }
int dup2(int fd, int to) {
    REAL(dup2);
    int made = real(fd, to);
    return fd == to ? made : duplicated(fd, made);
}
int dup3(int fd, int to, int flags) { return duplicated(fd, (int)syscall(SYS_dup3, fd, to, flags)); }

static int control(int fd, int command, void *argument) {
    int result = (int)syscall(SYS_fcntl, fd, command, argument);
    return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? duplicated(fd, result) : result;
}
int fcntl(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return control(fd, command, argument);
}
int fcntl64(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return control(fd, command, argument);
}

/* Data. */

static void heard(int fd, const struct iovec *pieces, int count) {
    /* The head of an answer may come in several pieces; its first one begins with the version. */
    if (log_fd < 0 || count < 1 || pieces[0].iov_len < 12 || memcmp(pieces[0].iov_base, "HTTP/1.1 ", 9) != 0) return;
    size_t total = 0;
    for (int i = 0; i < count; i++) total += pieces[i].iov_len;
    pthread_mutex_lock(&lock);
    put(SEND, fd, 0, 0, pieces, count, total < HEAD_BYTES ? total : HEAD_BYTES, NULL);
    pthread_mutex_unlock(&lock);
}

static ssize_t wrote(int fd, const struct iovec *pieces, int count, int64_t offset, ssize_t done) {
    int error = errno;
    if (done > 0) {
        int64_t at = offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR) - done;
        put(WRITE, fd, at, 0, pieces, count, (size_t)done, NULL);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t write(int fd, const void *data, size_t size) {
    struct iovec piece = {(void *)data, size};
    if (!known(fd)) {
        heard(fd, &piece, 1);
        return syscall(SYS_write, fd, data, size);
    }
    pthread_mutex_lock(&lock);
    return wrote(fd, &piece, 1, -1, syscall(SYS_write, fd, data, size));
}
ssize_t writev(int fd, const struct iovec *pieces, int count) {
    if (!known(fd)) {
        heard(fd, pieces, count);
        return syscall(SYS_writev, fd, pieces, count);
    }
    pthread_mutex_lock(&lock);
    return wrote(fd, pieces, count, -1, syscall(SYS_writev, fd, pieces, count));
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    struct iovec piece = {(void *)data, size};
    if (!known(fd)) return syscall(SYS_pwrite64, fd, data, size, offset);
    pthread_mutex_lock(&lock);
    return wrote(fd, &piece, 1, offset, syscall(SYS_pwrite64, fd, data, size, offset));
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }
ssize_t pwritev64v2(int fd, const struct iovec *pieces, int count, off64_t offset, int flags) {
    /* The kernel takes the offset in two halves; the upper one is ignored on 64 bits. */
    if (!known(fd)) return syscall(SYS_pwritev2, fd, pieces, count, offset, 0L, flags);
    pthread_mutex_lock(&lock);
    return wrote(fd, pieces, count, offset, syscall(SYS_pwritev2, fd, pieces, count, offset, 0L, flags));
}
ssize_t pwritev2(int fd, const struct iovec *pieces, int count, off_t offset, int flags) {
    return pwritev64v2(fd, pieces, count, offset, flags);
}
ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset) {
    return pwritev64v2(fd, pieces, count, offset, 0);
}
ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset) {
    return pwritev64v2(fd, pieces, count, offset, 0);
}
ssize_t send(int fd, const void *data, size_t size, int flags) {
    struct iovec piece = {(void *)data, size};
    heard(fd, &piece, 1);
    return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    heard(fd, message->msg_iov, (int)message->msg_iovlen);
    return syscall(SYS_sendmsg, fd, message, flags);
}

static int changed(int fd, enum kind kind, int64_t a, int64_t b, int flags, int result) {
    int error = errno;
    char mode[16];
    snprintf(mode, sizeof mode, "%d", flags);
    if (result == 0) put_text(kind, fd, a, b, mode, NULL);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int ftruncate64(int fd, off64_t size) {
    if (!known(fd)) return (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    return changed(fd, TRUNCATE, size, 0, 0, (int)syscall(SYS_ftruncate, fd, size));
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int truncate64(const char *path, off64_t size) {
    char full[PATH_MAX];
    if (!locate(AT_FDCWD, path, full)) return (int)syscall(SYS_truncate, path, size);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_truncate, path, size), error = errno;
    if (result == 0) put_text(TRUNCATE_PATH, -1, size, 0, below(full), NULL);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
int truncate(const char *path, off_t size) { return truncate64(path, size); }
int fallocate64(int fd, int mode, off64_t offset, off64_t size) {
    if (!known(fd)) return (int)syscall(SYS_fallocate, fd, mode, offset, size);
    pthread_mutex_lock(&lock);
    return changed(fd, ALLOCATE, offset, size, mode, (int)syscall(SYS_fallocate, fd, mode, offset, size));
}
int fallocate(int fd, int mode, off_t offset, off_t size) { return fallocate64(fd, mode, offset, size); }
int posix_fallocate64(int fd, off64_t offset, off64_t size) { return fallocate64(fd, 0, offset, size) ? errno : 0; }
int posix_fallocate(int fd, off_t offset, off_t size) { return posix_fallocate64(fd, offset, size); }

static int unknown(int fd, const char *call) {
    if (!known(fd)) return 0;
    pthread_mutex_lock(&lock);
    put_text(UNKNOWN, fd, 0, 0, call, below(tracked[fd]));
    pthread_mutex_unlock(&lock);
    return 1;
}
void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t offset) {
    if ((flags & MAP_SHARED) && (protection & PROT_WRITE) && fd >= 0) unknown(fd, "mmap");
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    return mmap64(at, size, protection, flags, fd, offset);
}
ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) {
    unknown(out, "sendfile");
    return syscall(SYS_sendfile, out, in, offset, count);
}
ssize_t sendfile(int out, int in, off_t *offset, size_t count) { return sendfile64(out, in, offset, count); }
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    unknown(out, "copy_file_range");
    return syscall(SYS_copy_file_range, in, from, out, to, size, flags);
}

/* Syncing. */

static int swallowed(int fd) {
    if (!swallow) return 0;
    struct stat status;
    if (fstat(fd, &status) < 0) return 0;
    char kind = S_ISDIR(status.st_mode) ? 'd' : 'f', one[PATH_MAX];
    for (const char *from = swallow; *from;) {
        size_t size = strcspn(from, ",");
        snprintf(one, sizeof one, "%.*s", (int)size, from);
        if (one[0] == kind && one[1] == ':' && fnmatch(one + 2, below(tracked[fd]), 0) == 0) return 1;
        from += size + (from[size] == ',');
    }
    return 0;
}

static int synced(int fd, long call) {
    if (!known(fd)) return (int)syscall(call, fd);
    if (swallowed(fd)) return 0;
    pthread_mutex_lock(&lock);
    int64_t number = ++syncs;
    put(SYNC_BEGIN, fd, number, 0, NULL, 0, 0, NULL);
    pthread_mutex_unlock(&lock);
    int result = (int)syscall(call, fd), error = errno;
    if (result == 0) {
        pthread_mutex_lock(&lock);
        put(SYNC_END, fd, number, 0, NULL, 0, 0, NULL);
        pthread_mutex_unlock(&lock);
    }
    errno = error;
    return result;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }
int syncfs(int fd) {
    int64_t number = 0;
    if (log_fd >= 0) {
        pthread_mutex_lock(&lock);
        number = ++syncs;
        put(SYNC_ALL_BEGIN, fd, number, 0, NULL, 0, 0, NULL);
        pthread_mutex_unlock(&lock);
    }
    int result = (int)syscall(SYS_syncfs, fd), error = errno;
    if (log_fd >= 0 && result == 0) {
        pthread_mutex_lock(&lock);
        put(SYNC_ALL_END, fd, number, 0, NULL, 0, 0, NULL);
        pthread_mutex_unlock(&lock);
    }
    errno = error;
    return result;
}

/* Names. */

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags) {
    char source[PATH_MAX], target[PATH_MAX];
    if (!locate(to_directory, to, target)) return (int)syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
    int fd = -1;
    if ((flags & AT_EMPTY_PATH) && from[0] == 0) fd = from_directory;
    if (sscanf(from, "/proc/self/fd/%d", &fd) != 1 && fd < 0) locate(from_directory, from, source);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_linkat, from_directory, from, to_directory, to, flags), error = errno;
    if (result == 0) {
        if (fd >= 0) put_text(LINK_FD, fd, 0, 0, below(target), NULL);
        else put_text(LINK, -1, 0, 0, below(source), below(target));
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
    char source[PATH_MAX], target[PATH_MAX];
    int from_inside = locate(from_directory, from, source), to_inside = locate(to_directory, to, target);
    if (!from_inside && !to_inside)
        return (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, flags), error = errno;
    if (result == 0) {
        if (from_inside && to_inside && !(flags & ~1u)) put_text(RENAME, -1, 0, 0, below(source), below(target));
        else put_text(UNKNOWN, -1, 0, 0, "renameat2", from_inside ? below(source) : below(target));
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
int renameat(int from_directory, const char *from, int to_directory, const char *to) {
    return renameat2(from_directory, from, to_directory, to, 0);
}
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

static int removed(int directory, const char *path, int flags) {
    char full[PATH_MAX];
    if (!locate(directory, path, full)) return (int)syscall(SYS_unlinkat, directory, path, flags);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_unlinkat, directory, path, flags), error = errno;
    if (result == 0) put_text(flags & AT_REMOVEDIR ? RMDIR : UNLINK, -1, 0, 0, below(full), NULL);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int unlinkat(int directory, const char *path, int flags) { return removed(directory, path, flags); }
int rmdir(const char *path) { return removed(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path) {
    int result = removed(AT_FDCWD, path, 0);
    return result < 0 && errno == EISDIR ? rmdir(path) : result;
}

int mkdirat(int directory, const char *path, mode_t mode) {
    char full[PATH_MAX];
    if (!locate(directory, path, full)) return (int)syscall(SYS_mkdirat, directory, path, mode);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_mkdirat, directory, path, mode), error = errno;
    if (result == 0) put_text(MKDIR, -1, 0, 0, below(full), NULL);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
