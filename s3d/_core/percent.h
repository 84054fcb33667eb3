/* Percent-encoding kernels: no allocation, no Python, usable without the GIL.
 *
 * Decoding follows RFC 3986 section 2.1, each escape once; encoding follows the UriEncode() of AWS Signature
 * Version 4: everything except A-Z a-z 0-9 - . _ ~ becomes %XX with upper-case digits.
 */
#ifndef S3D_PERCENT_H
#define S3D_PERCENT_H

#include <stddef.h>
#include <stdint.h>

/* Value of a hexadecimal digit, -1 for any other byte. */
static inline int s3d_hex_value(uint8_t byte) {
    if ((uint8_t)(byte - '0') < 10) return byte - '0';
    byte |= 0x20; /* folds upper case; moves no other byte into a-f that was not a letter there */
    if ((uint8_t)(byte - 'a') < 6) return byte - 'a' + 10;
    return -1;
}

/* Decodes size bytes into out, which has room for size bytes. Returns the bytes written, or -1 - offset of the first
 * malformed escape. out may be data itself: the writer never overtakes the reader. */
static inline ptrdiff_t s3d_percent_decode(const uint8_t *data, ptrdiff_t size, uint8_t *out, int plus_is_space) {
    ptrdiff_t read = 0, written = 0;
    while (read < size) {
        uint8_t byte = data[read];
        if (byte == '%') {
            int high, low;
            if (size - read < 3) return -1 - read;
            high = s3d_hex_value(data[read + 1]);
            low = s3d_hex_value(data[read + 2]);
            if (high < 0 || low < 0) return -1 - read;
            out[written++] = (uint8_t)(high << 4 | low);
            read += 3;
        } else {
            out[written++] = byte == '+' && plus_is_space ? ' ' : byte;
            read++;
        }
    }
    return written;
}

static const uint8_t s3d_unreserved[256] = {
    ['-'] = 1, ['.'] = 1, ['_'] = 1, ['~'] = 1,
    ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1,
    ['A'] = 1, ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1, ['I'] = 1, ['J'] = 1,
    ['K'] = 1, ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1,
    ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1, ['Z'] = 1,
    ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1, ['j'] = 1,
    ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1,
    ['u'] = 1, ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1,
};

/* Exact size of the encoded form of data, at most 3 * size. */
static inline ptrdiff_t s3d_percent_encoded_size(const uint8_t *data, ptrdiff_t size, int keep_slash) {
    ptrdiff_t index, kept = 0;
    for (index = 0; index < size; index++) {
        kept += s3d_unreserved[data[index]] | (keep_slash && data[index] == '/');
    }
    return 3 * size - 2 * kept;
}

/* Encodes size bytes into out, which has room for s3d_percent_encoded_size() bytes. Returns the bytes written. */
static inline ptrdiff_t s3d_percent_encode(const uint8_t *data, ptrdiff_t size, uint8_t *out, int keep_slash) {
    static const char digits[] = "0123456789ABCDEF";
    ptrdiff_t index, written = 0;
    for (index = 0; index < size; index++) {
        uint8_t byte = data[index];
        if (s3d_unreserved[byte] || (keep_slash && byte == '/')) {
            out[written++] = byte;
        } else {
            out[written++] = '%';
            out[written++] = (uint8_t)digits[byte >> 4];
            out[written++] = (uint8_t)digits[byte & 15];
        }
    }
    return written;
}

#endif
