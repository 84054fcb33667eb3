/* A small S3-like upstream that is never the slow part of a measurement.
 *
 * One thread, one epoll, loopback only. It remembers the size of what was put, not the bytes: a GET is answered with
 * as many bytes of one fixed random block, from memory when they are few and by sendfile(2) when they are many. It
 * checks no signature. What it understands:
 *
 *   PUT /bucket, PUT /bucket/key     200 with an ETag; the body is received in full, then forgotten
 *   GET, HEAD /bucket/key            200, or 206 for "Range: bytes=a-b", "a-" and "-n"; 404 NoSuchKey
 *   GET, HEAD /bucket                200
 *   DELETE                           204
 *   POST                             200
 *
 * Prints "port N" once it listens; ends on SIGTERM or when its parent dies.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 32 * 1024, BLOCK = 4 * 1024 * 1024, INBOX = 512 * 1024, SLOTS = 1 << 16, INLINE = 64 * 1024 };

struct object {
    struct object *next;
    int64_t size;
    char etag[33];
    size_t length;
    char path[];
};

struct connection {
    int fd;
    int wants_out;
    int closing;
    size_t filled; /* bytes of requests in `in` */
    char in[HEAD_MAX];
    /* The request whose body is being received. */
    int64_t body_left;
    int64_t body_size;
    char path[2048];
    size_t path_length;
    int putting;
    /* The response being sent. */
    size_t out_size, out_sent;
    char out[2048];
    int64_t send_left, send_from;
};

static struct object *slots[SLOTS];
static char *block;
static int block_fd, poll_fd;
static char inbox[INBOX];
static char date[64];
static uint64_t serial;

static uint64_t hash(const char *text, size_t length) {
    uint64_t value = 1469598103934665603ULL;
    for (size_t i = 0; i < length; i++) value = (value ^ (unsigned char)text[i]) * 1099511628211ULL;
    return value;
}

static struct object **find(const char *path, size_t length) {
    struct object **place = &slots[hash(path, length) % SLOTS];
    while (*place && !((*place)->length == length && !memcmp((*place)->path, path, length))) place = &(*place)->next;
    return place;
}

static struct object *store(const char *path, size_t length, int64_t size) {
    struct object **place = find(path, length);
    if (!*place) {
        struct object *made = calloc(1, sizeof *made + length);
        if (!made) abort();
        memcpy(made->path, path, length);
        made->length = length;
        *place = made;
    }
    (*place)->size = size;
    snprintf((*place)->etag, sizeof (*place)->etag, "%016llx%016llx", (unsigned long long)hash(path, length),
             (unsigned long long)(size * 0x9e3779b97f4a7c15ULL));
    return *place;
}

static void tick(void) {
    static time_t last;
    time_t now = time(NULL);
    struct tm parts;
    if (now == last) return;
    last = now;
    gmtime_r(&now, &parts);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
}

static void answer(struct connection *c, const char *status, const char *fields, int64_t length, int64_t from,
                   int64_t to_send) {
    tick();
    c->out_size = snprintf(c->out, sizeof c->out,
        "HTTP/1.1 %s\r\nx-amz-id-2: bench\r\nx-amz-request-id: %016llX\r\nDate: %s\r\nServer: bench\r\n%s",
        status, (unsigned long long)++serial, date, fields);
    if (length >= 0)
        c->out_size += snprintf(c->out + c->out_size, sizeof c->out - c->out_size, "Content-Length: %lld\r\n",
                                (long long)length);
    c->out_size += snprintf(c->out + c->out_size, sizeof c->out - c->out_size, "%s\r\n",
                            c->closing ? "Connection: close\r\n" : "");
    c->out_sent = 0;
    c->send_from = from;
    c->send_left = to_send;
}

static void refuse(struct connection *c, const char *status, const char *code, int with_body) {
    char body[256], fields[64] = "Content-Type: application/xml\r\n";
    int size = snprintf(body, sizeof body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>", code, code);
    answer(c, status, fields, size, 0, 0);
    if (with_body) {
        memcpy(c->out + c->out_size, body, size);
        c->out_size += size;
    }
}

/* 1: all is sent; 0: the socket is full; -1: the peer is gone. */
static int flush(struct connection *c) {
    while (c->out_sent < c->out_size || c->send_left) {
        ssize_t sent;
        int64_t offset = c->send_from % BLOCK, span = BLOCK - offset;
        if (span > c->send_left) span = c->send_left;
        if (c->out_sent < c->out_size || c->send_left <= INLINE) {
            struct iovec parts[2] = {{c->out + c->out_sent, c->out_size - c->out_sent}, {block + offset, span}};
            struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
            if (c->send_left > INLINE) parts[1].iov_len = 0;
            sent = sendmsg(c->fd, &message, MSG_NOSIGNAL | (c->send_left > INLINE ? MSG_MORE : 0));
        } else {
            off_t at = offset;
            sent = sendfile(c->fd, block_fd, &at, span);
        }
        if (sent < 0) return errno == EAGAIN ? 0 : -1;
        size_t head = c->out_size - c->out_sent;
        if ((size_t)sent < head) head = sent;
        c->out_sent += head;
        c->send_from += sent - head;
        c->send_left -= sent - head;
    }
    c->out_size = c->out_sent = 0;
    return 1;
}

static void finish_body(struct connection *c) {
    char fields[128] = "";
    if (c->putting) {
        struct object *object = store(c->path, c->path_length, c->body_size);
        snprintf(fields, sizeof fields, "ETag: \"%s\"\r\n", object->etag);
    }
    answer(c, "200 OK", fields, 0, 0, 0);
}

static int is(const char *line, size_t name, const char *wanted) {
    return strlen(wanted) == name && !strncasecmp(line, wanted, name);
}

/* One whole head of `size` bytes stands in c->in. */
static void request(struct connection *c, size_t size) {
    char *end = c->in + size, *line = memchr(c->in, '\n', size), *space = memchr(c->in, ' ', size);
    char *range = NULL;
    int64_t length = 0, decoded = -1;
    int expect = 0, chunked = 0;
    if (!space || space > line) { c->closing = 1; refuse(c, "400 Bad Request", "BadRequest", 1); return; }
    char *path = space + 1, *stop = path;
    while (stop < line && *stop != ' ' && *stop != '?') stop++;
    size_t path_length = stop - path;
    int head = !strncmp(c->in, "HEAD ", 5), get = head || !strncmp(c->in, "GET ", 4);
    for (line++; line < end; ) {
        char *next = memchr(line, '\n', end - line), *colon = memchr(line, ':', end - line);
        if (!next) break;
        if (colon && colon < next) {
            size_t name = colon - line;
            char *value = colon + 1;
            while (*value == ' ') value++;
            switch (*line | 0x20) {
            case 'c':
                if (is(line, name, "content-length")) length = strtoll(value, NULL, 10);
                else if (is(line, name, "connection")) c->closing = !strncasecmp(value, "close", 5);
                break;
            case 'e': expect |= is(line, name, "expect"); break;
            case 'r': if (is(line, name, "range")) range = value; break;
            case 't': chunked |= is(line, name, "transfer-encoding"); break;
            case 'x': if (is(line, name, "x-amz-decoded-content-length")) decoded = strtoll(value, NULL, 10); break;
            }
        }
        line = next + 1;
    }
    if (chunked || length < 0 || path_length >= sizeof c->path) {
        c->closing = 1;
        refuse(c, "501 Not Implemented", "NotImplemented", 1);
        return;
    }
    memcpy(c->path, path, path_length);
    c->path_length = path_length;
    char *slash = path_length > 1 ? memchr(c->path + 1, '/', path_length - 1) : NULL;
    int keyed = slash && slash + 1 < c->path + path_length;
    if (get && keyed) {
        struct object *object = *find(c->path, path_length);
        char fields[512];
        if (!object) { refuse(c, "404 Not Found", "NoSuchKey", !head); return; }
        int64_t from = 0, to = object->size - 1;
        if (range && !strncmp(range, "bytes=", 6)) {
            char *dash;
            if (range[6] == '-') {
                from = object->size - strtoll(range + 7, NULL, 10);
                if (from < 0) from = 0;
            } else {
                from = strtoll(range + 6, &dash, 10);
                if (*dash == '-' && dash[1] >= '0' && dash[1] <= '9') to = strtoll(dash + 1, NULL, 10);
                if (to >= object->size) to = object->size - 1;
            }
            if (from > to) { refuse(c, "416 Range Not Satisfiable", "InvalidRange", !head); return; }
        } else range = NULL;
        int64_t span = to - from + 1;
        int used = snprintf(fields, sizeof fields,
            "Last-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\nETag: \"%s\"\r\nAccept-Ranges: bytes\r\n"
            "Content-Type: binary/octet-stream\r\n", object->etag);
        if (range) snprintf(fields + used, sizeof fields - used, "Content-Range: bytes %lld-%lld/%lld\r\n",
                            (long long)from, (long long)to, (long long)object->size);
        answer(c, range ? "206 Partial Content" : "200 OK", fields, span, from, head ? 0 : span);
    } else if (get) {
        answer(c, "200 OK", "x-amz-bucket-region: us-east-1\r\nContent-Type: application/xml\r\n", 0, 0, 0);
    } else if (!strncmp(c->in, "DELETE ", 7)) {
        struct object **place = find(c->path, path_length), *gone = *place;
        if (gone) { *place = gone->next; free(gone); }
        answer(c, "204 No Content", "", -1, 0, 0);
    } else {
        c->putting = keyed && !strncmp(c->in, "PUT ", 4);
        c->body_left = length;
        c->body_size = decoded >= 0 ? decoded : length;
        if (!length) finish_body(c);
        else if (expect) {
            static const char go[] = "HTTP/1.1 100 Continue\r\n\r\n";
            memcpy(c->out, go, sizeof go - 1);
            c->out_size = sizeof go - 1;
        }
    }
}

/* Read and answer until the socket has no more to give or take; -1: close it. */
static int serve(struct connection *c) {
    for (;;) {
        if (c->out_sent < c->out_size || c->send_left) {
            int done = flush(c);
            if (done <= 0) return done;
            if (c->closing && !c->body_left) return -1;
        }
        if (c->body_left) {
            size_t take = c->filled;
            if (take) {
                if ((int64_t)take > c->body_left) take = c->body_left;
                memmove(c->in, c->in + take, c->filled - take);
                c->filled -= take;
            } else {
                ssize_t got = recv(c->fd, inbox, c->body_left < INBOX ? c->body_left : INBOX, 0);
                if (got <= 0) return got < 0 && errno == EAGAIN ? 0 : -1;
                take = got;
            }
            c->body_left -= take;
            if (!c->body_left) finish_body(c);
            continue;
        }
        char *end = c->filled ? memmem(c->in, c->filled, "\r\n\r\n", 4) : NULL;
        if (end) {
            size_t size = end + 4 - c->in;
            request(c, size);
            memmove(c->in, c->in + size, c->filled - size);
            c->filled -= size;
            continue;
        }
        if (c->filled == HEAD_MAX) return -1;
        size_t room = HEAD_MAX - c->filled;
        ssize_t got = recv(c->fd, c->in + c->filled, room, 0);
        if (got <= 0) return got < 0 && errno == EAGAIN ? 0 : -1;
        c->filled += got;
        /* A short read emptied the socket: answer what came, then wait, without a recv(2) that only says EAGAIN. */
        if ((size_t)got < room) {
            while (!c->body_left && (end = memmem(c->in, c->filled, "\r\n\r\n", 4))) {
                size_t size = end + 4 - c->in;
                request(c, size);
                memmove(c->in, c->in + size, c->filled - size);
                c->filled -= size;
                int done = c->out_size ? flush(c) : 1;
                if (done <= 0) return done;
                if (c->closing && !c->body_left) return -1;
            }
            if (c->body_left) continue;
            return 0;
        }
    }
}

int main(void) {
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) {
        perror("listen");
        return 1;
    }
    block_fd = memfd_create("block", 0);
    if (block_fd < 0 || ftruncate(block_fd, BLOCK)) { perror("memfd"); return 1; }
    block = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, block_fd, 0);
    if (block == MAP_FAILED) { perror("mmap"); return 1; }
    for (uint64_t i = 0, seed = 88172645463325252ULL; i < BLOCK / 8; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        ((uint64_t *)block)[i] = seed;
    }
    poll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event);
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poll_fd, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                int fd;
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                    if (!(c = calloc(1, sizeof *c))) abort();
                    c->fd = fd;
                    event = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
                    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
                }
                continue;
            }
            if (serve(c) < 0) {
                close(c->fd);
                free(c);
                continue;
            }
            int wants_out = c->out_sent < c->out_size || c->send_left;
            if (wants_out != c->wants_out) {
                c->wants_out = wants_out;
                event = (struct epoll_event){.events = wants_out ? EPOLLOUT : EPOLLIN, .data.ptr = c};
                epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event);
            }
        }
    }
}
