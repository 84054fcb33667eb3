/* Matches globs against bytes that are mostly UTF-8.
 *
 * A text is a row of characters: a well-formed UTF-8 sequence (Unicode 15, table 3-7) is one, and so is every byte that
 * belongs to none. A glob is a row of operations over it:
 *
 *     TEXT   these bytes, well-formed UTF-8
 *     BYTES  these characters, some of which are no UTF-8
 *     ONE    any one character
 *     ANY    any run of characters, the empty one too; never two in a row
 *
 * Pure functions over borrowed memory: no allocation, no recursion. Between two ANY the leftmost match is taken, which
 * is enough since what stands there always takes the same number of characters: no match is ever taken back. Cost for a
 * text of n bytes and a glob of m: n + m where every piece between two ANY begins with TEXT that is rare in the text
 * (memmem is linear), n * m at worst (`*a?a?a?b` against `aaaa…`).
 */
#ifndef S3D_NATIVE_GLOB_H
#define S3D_NATIVE_GLOB_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { S3D_GLOB_TEXT, S3D_GLOB_BYTES, S3D_GLOB_ONE, S3D_GLOB_ANY };

typedef struct {
    uint32_t offset; /* of TEXT and BYTES, in the program's bytes */
    uint16_t size;   /* at least 1 for these, 0 for ONE and ANY */
    uint16_t kind;
} s3d_glob_op;

/* The size of the character at `at`, which is before `end`: 1 to 4. */
static inline size_t s3d_character_size(const uint8_t *at, const uint8_t *end)
{
    uint8_t first = at[0];
    size_t rest = (size_t)(end - at) - 1;
    uint8_t low = 0x80, high = 0xbf;
    size_t more;
    if (first < 0xc2 || first > 0xf4)
        return 1;
    if (first < 0xe0) {
        more = 1;
    } else if (first < 0xf0) {
        more = 2;
        if (first == 0xe0)
            low = 0xa0;
        else if (first == 0xed)
            high = 0x9f;
    } else {
        more = 3;
        if (first == 0xf0)
            low = 0x90;
        else if (first == 0xf4)
            high = 0x8f;
    }
    if (rest < more || at[1] < low || at[1] > high)
        return 1;
    for (size_t i = 2; i <= more; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 1;
    return more + 1;
}

/* The end of what `ops`, none of them ANY, match at exactly `at`; NULL if they do not. */
static inline const uint8_t *s3d_glob_run(const uint8_t *bytes, const s3d_glob_op *ops, size_t count,
                                          const uint8_t *at, const uint8_t *end)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t *wanted = bytes + ops[i].offset;
        const uint8_t *wanted_end = wanted + ops[i].size;
        switch (ops[i].kind) {
        case S3D_GLOB_ONE:
            if (at == end)
                return NULL;
            at += s3d_character_size(at, end);
            break;
        case S3D_GLOB_TEXT:
            /* Well-formed on both sides: where the bytes are the same, so are the characters. */
            if ((size_t)(end - at) < ops[i].size || memcmp(at, wanted, ops[i].size) != 0)
                return NULL;
            at += ops[i].size;
            break;
        default:
            while (wanted < wanted_end) {
                size_t size = s3d_character_size(wanted, wanted_end);
                if (at == end || s3d_character_size(at, end) != size || memcmp(at, wanted, size) != 0)
                    return NULL;
                at += size;
                wanted += size;
            }
        }
    }
    return at;
}

/* Whether the whole text matches the whole glob. */
static inline int s3d_glob_match(const uint8_t *bytes, const s3d_glob_op *ops, size_t count, const uint8_t *at,
                                 const uint8_t *end)
{
    size_t first = 0, last = 0;
    while (last < count && ops[last].kind != S3D_GLOB_ANY)
        last++;
    at = s3d_glob_run(bytes, ops, last, at, end);
    if (at == NULL)
        return 0;
    if (last == count)
        return at == end;
    for (;;) {
        /* ops[last] is ANY, and what follows it up to the next one may stand anywhere from `at` on. */
        first = ++last;
        while (last < count && ops[last].kind != S3D_GLOB_ANY)
            last++;
        if (first == last)
            return 1; /* it is the glob's end: ANY takes the rest */
        if (last == count && last - first == 1 && ops[first].kind == S3D_GLOB_TEXT) {
            /* No character reaches over the start of well-formed UTF-8, so it need not be looked for. */
            size_t size = ops[first].size;
            return (size_t)(end - at) >= size && memcmp(end - size, bytes + ops[first].offset, size) == 0;
        }
        for (;;) {
            const uint8_t *after;
            if (ops[first].kind == S3D_GLOB_TEXT) {
                at = (const uint8_t *)memmem(at, (size_t)(end - at), bytes + ops[first].offset, ops[first].size);
                if (at == NULL)
                    return 0;
            }
            after = s3d_glob_run(bytes, ops + first, last - first, at, end);
            if (after != NULL && (last < count || after == end)) {
                at = after;
                break;
            }
            if (at == end)
                return 0;
            at += s3d_character_size(at, end);
        }
        if (last == count)
            return 1;
    }
}

#endif
