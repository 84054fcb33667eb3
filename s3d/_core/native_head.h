/* Splits the header section of a whole and simple HTTP/1.1 message.
 *
 * Pure functions over borrowed memory, no allocation. What they accept is a strict subset of RFC 9112 (§5, §5.1): names
 * of token characters directly before the colon, values of visible characters, spaces, tabs and obs-text, every line
 * ended by CRLF, no folding. Whatever else stands there is not refused but left to the full parser, so that there is
 * one place that decides what is an error.
 */
#ifndef S3D_NATIVE_HEAD_H
#define S3D_NATIVE_HEAD_H

#include <stddef.h>
#include <stdint.h>

#define S3D_MAX_FIELDS 64

typedef struct {
    const uint8_t *name;
    const uint8_t *value; /* without outer white space */
    uint32_t name_size;
    uint32_t value_size;
} s3d_field;

/* RFC 9110 §5.6.2: tchar. */
static inline int s3d_is_token(uint8_t byte)
{
    static const uint32_t set[8] = {
        0x00000000u, 0x03ff6cfau, 0xc7fffffeu, 0x57ffffffu, 0, 0, 0, 0,
    };
    return (int)(set[byte >> 5] >> (byte & 31) & 1u);
}

/* Scans header lines from data[0] to the empty line that ends them. Returns the bytes used, the empty line included;
 * 0 if that line is not there yet, if a line is not simple, or if there are more than S3D_MAX_FIELDS. */
static inline ptrdiff_t s3d_scan_fields(const uint8_t *data, ptrdiff_t size, s3d_field *fields, int *count)
{
    ptrdiff_t at = 0;
    int found = 0;
    for (;;) {
        if (size - at < 2)
            return 0;
        if (data[at] == '\r') {
            if (data[at + 1] != '\n')
                return 0;
            *count = found;
            return at + 2;
        }
        if (found == S3D_MAX_FIELDS)
            return 0;
        s3d_field *field = &fields[found++];
        ptrdiff_t start = at;
        while (at < size && s3d_is_token(data[at]))
            at++;
        if (at == size || data[at] != ':' || at == start)
            return 0;
        field->name = data + start;
        field->name_size = (uint32_t)(at - start);
        at++;
        while (at < size && (data[at] == ' ' || data[at] == '\t'))
            at++;
        start = at;
        while (at < size && ((data[at] >= 0x20 && data[at] != 0x7f) || data[at] == '\t'))
            at++;
        if (size - at < 2 || data[at] != '\r' || data[at + 1] != '\n')
            return 0;
        ptrdiff_t end = at;
        while (end > start && (data[end - 1] == ' ' || data[end - 1] == '\t'))
            end--;
        field->value = data + start;
        field->value_size = (uint32_t)(end - start);
        at += 2;
    }
}

/* Whether the field's name is `name`, given in lower case. */
static inline int s3d_field_is(const s3d_field *field, const char *name, uint32_t size)
{
    if (field->name_size != size)
        return 0;
    for (uint32_t i = 0; i < size; i++) {
        uint8_t byte = field->name[i];
        if (byte >= 'A' && byte <= 'Z')
            byte |= 0x20;
        if (byte != (uint8_t)name[i])
            return 0;
    }
    return 1;
}

/* The field's value as a decimal number of at most 18 digits, or -1. */
static inline int64_t s3d_field_number(const s3d_field *field)
{
    int64_t number = 0;
    if (field->value_size == 0 || field->value_size > 18)
        return -1;
    for (uint32_t i = 0; i < field->value_size; i++) {
        uint8_t digit = (uint8_t)(field->value[i] - '0');
        if (digit > 9)
            return -1;
        number = number * 10 + digit;
    }
    return number;
}

/* What a field means for the framing of its message. */
enum { S3D_PLAIN, S3D_CONTENT_LENGTH, S3D_HOST, S3D_CONNECTION, S3D_KEEP_ALIVE, S3D_NOT_SIMPLE };

/* Classifies a field: everything that changes how a message is framed, or belongs to the connection and is not named
 * here, is S3D_NOT_SIMPLE. */
static inline int s3d_field_kind(const s3d_field *field)
{
    switch (field->name[0] | 0x20) {
    case 'h':
        return s3d_field_is(field, "host", 4) ? S3D_HOST : S3D_PLAIN;
    case 'c':
        if (s3d_field_is(field, "content-length", 14))
            return S3D_CONTENT_LENGTH;
        return s3d_field_is(field, "connection", 10) ? S3D_CONNECTION : S3D_PLAIN;
    case 'k':
        return s3d_field_is(field, "keep-alive", 10) ? S3D_KEEP_ALIVE : S3D_PLAIN;
    case 't':
        return s3d_field_is(field, "te", 2) || s3d_field_is(field, "trailer", 7) ||
                       s3d_field_is(field, "transfer-encoding", 17)
                   ? S3D_NOT_SIMPLE
                   : S3D_PLAIN;
    case 'e':
        return s3d_field_is(field, "expect", 6) ? S3D_NOT_SIMPLE : S3D_PLAIN;
    case 'u':
        return s3d_field_is(field, "upgrade", 7) ? S3D_NOT_SIMPLE : S3D_PLAIN;
    case 'p':
        return field->name_size > 6 && (field->name[1] | 0x20) == 'r' && (field->name[4] | 0x20) == 'y' &&
                       field->name[5] == '-'
                   ? S3D_NOT_SIMPLE
                   : S3D_PLAIN;
    default:
        return S3D_PLAIN;
    }
}

#endif
