/* Pieces of a canonical request: spans, their order, header values and times.
 *
 * Source: "Signature Calculations for the Authorization Header" in the Amazon S3 API reference. Nothing here allocates.
 */
#ifndef S3D_SIGV4_H
#define S3D_SIGV4_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Borrowed bytes; `data` may be NULL when `size` is 0. */
typedef struct {
    const uint8_t *data;
    Py_ssize_t size;
} s3d_span;

/* A query parameter in canonical encoding, or a header: (name, value), and where it stood among its like. */
typedef struct {
    s3d_span name;
    s3d_span value;
    int index;
    int is_signed;
} s3d_pair;

static inline int s3d_span_compare(const s3d_span *a, const s3d_span *b)
{
    Py_ssize_t shorter = a->size < b->size ? a->size : b->size;
    int order = shorter ? memcmp(a->data, b->data, (size_t)shorter) : 0;
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

static inline int s3d_span_is(const s3d_span *span, const char *text, Py_ssize_t size)
{
    return span->size == size && memcmp(span->data, text, (size_t)size) == 0;
}

static inline int s3d_span_begins(const s3d_span *span, const char *text, Py_ssize_t size)
{
    return span->size >= size && memcmp(span->data, text, (size_t)size) == 0;
}

/* Query order: by encoded name, then encoded value. */
static int s3d_query_order(const void *a, const void *b)
{
    int order = s3d_span_compare(&((const s3d_pair *)a)->name, &((const s3d_pair *)b)->name);
    return order ? order : s3d_span_compare(&((const s3d_pair *)a)->value, &((const s3d_pair *)b)->value);
}

/* Header order: by name; headers of one name stay as received. */
static int s3d_header_order(const void *a, const void *b)
{
    int order = s3d_span_compare(&((const s3d_pair *)a)->name, &((const s3d_pair *)b)->name);
    return order ? order : ((const s3d_pair *)a)->index - ((const s3d_pair *)b)->index;
}

/* Sorts in place. Insertion for the usual handful, qsort beyond, so that a long query cannot make it quadratic. */
static inline void s3d_sort_pairs(s3d_pair *pairs, Py_ssize_t count, int (*order)(const void *, const void *))
{
    if (count > 24) {
        qsort(pairs, (size_t)count, sizeof *pairs, order);
        return;
    }
    for (Py_ssize_t i = 1; i < count; i++) {
        if (order(&pairs[i - 1], &pairs[i]) <= 0)
            continue;
        s3d_pair moved = pairs[i];
        Py_ssize_t j = i;
        for (; j > 0 && order(&pairs[j - 1], &moved) > 0; j--)
            pairs[j] = pairs[j - 1];
        pairs[j] = moved;
    }
}

static inline uint8_t *s3d_put(uint8_t *out, const void *data, Py_ssize_t size)
{
    if (size)
        memcpy(out, data, (size_t)size);
    return out + size;
}

/* Writes a header value without outer blanks and with each inner run of blanks as one space; at most value->size bytes. */
static inline uint8_t *s3d_put_value(uint8_t *out, const s3d_span *value)
{
    const uint8_t *from = value->data, *end = from + value->size;
    while (from < end && (*from == ' ' || *from == '\t'))
        from++;
    while (end > from && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (from == end)
        return out;
    if (!memchr(from, ' ', (size_t)(end - from)) && !memchr(from, '\t', (size_t)(end - from)))
        return s3d_put(out, from, end - from);
    while (from < end) {
        if (*from == ' ' || *from == '\t') {
            *out++ = ' ';
            while (*from == ' ' || *from == '\t') /* stops: the last byte is no blank */
                from++;
        } else {
            *out++ = *from++;
        }
    }
    return out;
}

/* Days from 1970-01-01 of a civil date (proleptic Gregorian), and back. */
static inline int64_t s3d_days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Reads yyyyMMdd'T'HHmmss'Z' as seconds since 1970; -1 when it is not such a time. */
static inline int64_t s3d_parse_time(const uint8_t *text, Py_ssize_t size)
{
    static const uint8_t places[14] = {0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14};
    static const uint8_t month_days[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int d[14];
    if (size != 16 || text[8] != 'T' || text[15] != 'Z')
        return -1;
    for (int i = 0; i < 14; i++) {
        d[i] = text[places[i]] - '0';
        if (d[i] < 0 || d[i] > 9)
            return -1;
    }
    int year = d[0] * 1000 + d[1] * 100 + d[2] * 10 + d[3], month = d[4] * 10 + d[5], day = d[6] * 10 + d[7];
    int hour = d[8] * 10 + d[9], minute = d[10] * 10 + d[11], second = d[12] * 10 + d[13];
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > month_days[month - 1] || hour > 23 || minute > 59 ||
        second > 60)
        return -1;
    return s3d_days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

/* Writes seconds since 1970 (0 to the end of the year 9999, else clamped) as yyyyMMdd'T'HHmmss'Z'. */
static inline void s3d_format_time(int64_t seconds, uint8_t out[16])
{
    if (seconds < 0)
        seconds = 0;
    if (seconds > 253402300799LL)
        seconds = 253402300799LL;
    int64_t days = seconds / 86400 + 719468, rest = seconds % 86400;
    int64_t era = days / 146097, of_era = days % 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t shifted = (5 * of_year + 2) / 153;
    int64_t day = of_year - (153 * shifted + 2) / 5 + 1, month = shifted < 10 ? shifted + 3 : shifted - 9;
    year += era * 400 + (month <= 2);
    int64_t fields[6] = {year, month, day, rest / 3600, rest / 60 % 60, rest % 60};
    uint8_t *place = out;
    *place++ = (uint8_t)('0' + fields[0] / 1000);
    *place++ = (uint8_t)('0' + fields[0] / 100 % 10);
    for (int i = 0; i < 6; i++) {
        if (i == 3)
            *place++ = 'T';
        *place++ = (uint8_t)('0' + fields[i] / 10 % 10);
        *place++ = (uint8_t)('0' + fields[i] % 10);
    }
    *place = 'Z';
}

#endif
