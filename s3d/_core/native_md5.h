/* MD5 (RFC 1321) over spans, without the GIL: hashlib's would want it back after every span, and wait for it up to the
 * interpreter's switch interval (5 ms) behind a busy event loop. */
#ifndef S3D_NATIVE_MD5_H
#define S3D_NATIVE_MD5_H

#include <stdint.h>
#include <string.h>

typedef struct {
    uint32_t state[4];
    uint64_t total;    /* bytes so far */
    uint8_t block[64]; /* the last total % 64 of them */
} s3d_md5;

static inline void s3d_md5_init(s3d_md5 *md5)
{
    md5->state[0] = 0x67452301u;
    md5->state[1] = 0xefcdab89u;
    md5->state[2] = 0x98badcfeu;
    md5->state[3] = 0x10325476u;
    md5->total = 0;
}

static inline uint32_t s3d_md5_word(const uint8_t *data, int i)
{
    const uint8_t *byte = data + 4 * i;
    return (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 24;
}

#define S3D_MD5_F(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
/* A sum instead of an or: the two halves have no bit in common, and one of them does not wait for x. */
#define S3D_MD5_G(x, y, z) (((x) & (z)) + ((y) & ~(z)))
#define S3D_MD5_H(x, y, z) ((x) ^ (y) ^ (z))
#define S3D_MD5_I(x, y, z) ((y) ^ ((x) | ~(z)))
#define S3D_MD5_STEP(mix, a, b, c, d, i, shift, constant)             \
    a += s3d_md5_word(data, i) + constant##u;                         \
    a += mix(b, c, d);                                                \
    a = (a << shift | a >> (32 - shift)) + b;
#define S3D_MD5_FOUR(mix, i, j, k, l, r, s, t, u, c1, c2, c3, c4)     \
    S3D_MD5_STEP(mix, a, b, c, d, i, r, c1)                           \
    S3D_MD5_STEP(mix, d, a, b, c, j, s, c2)                           \
    S3D_MD5_STEP(mix, c, d, a, b, k, t, c3)                           \
    S3D_MD5_STEP(mix, b, c, d, a, l, u, c4)

static inline void s3d_md5_blocks(s3d_md5 *md5, const uint8_t *data, size_t count)
{
    uint32_t a = md5->state[0], b = md5->state[1], c = md5->state[2], d = md5->state[3];
    for (; count; count--, data += 64) {
        uint32_t a0 = a, b0 = b, c0 = c, d0 = d;
        S3D_MD5_FOUR(S3D_MD5_F, 0, 1, 2, 3, 7, 12, 17, 22, 0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee)
        S3D_MD5_FOUR(S3D_MD5_F, 4, 5, 6, 7, 7, 12, 17, 22, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501)
        S3D_MD5_FOUR(S3D_MD5_F, 8, 9, 10, 11, 7, 12, 17, 22, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be)
        S3D_MD5_FOUR(S3D_MD5_F, 12, 13, 14, 15, 7, 12, 17, 22, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821)
        S3D_MD5_FOUR(S3D_MD5_G, 1, 6, 11, 0, 5, 9, 14, 20, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa)
        S3D_MD5_FOUR(S3D_MD5_G, 5, 10, 15, 4, 5, 9, 14, 20, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8)
        S3D_MD5_FOUR(S3D_MD5_G, 9, 14, 3, 8, 5, 9, 14, 20, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed)
        S3D_MD5_FOUR(S3D_MD5_G, 13, 2, 7, 12, 5, 9, 14, 20, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a)
        S3D_MD5_FOUR(S3D_MD5_H, 5, 8, 11, 14, 4, 11, 16, 23, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c)
        S3D_MD5_FOUR(S3D_MD5_H, 1, 4, 7, 10, 4, 11, 16, 23, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70)
        S3D_MD5_FOUR(S3D_MD5_H, 13, 0, 3, 6, 4, 11, 16, 23, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05)
        S3D_MD5_FOUR(S3D_MD5_H, 9, 12, 15, 2, 4, 11, 16, 23, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665)
        S3D_MD5_FOUR(S3D_MD5_I, 0, 7, 14, 5, 6, 10, 15, 21, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039)
        S3D_MD5_FOUR(S3D_MD5_I, 12, 3, 10, 1, 6, 10, 15, 21, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1)
        S3D_MD5_FOUR(S3D_MD5_I, 8, 15, 6, 13, 6, 10, 15, 21, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1)
        S3D_MD5_FOUR(S3D_MD5_I, 4, 11, 2, 9, 6, 10, 15, 21, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391)
        a += a0;
        b += b0;
        c += c0;
        d += d0;
    }
    md5->state[0] = a;
    md5->state[1] = b;
    md5->state[2] = c;
    md5->state[3] = d;
}

static inline void s3d_md5_update(s3d_md5 *md5, const uint8_t *data, size_t size)
{
    size_t held = md5->total % 64, taken;
    md5->total += size;
    if (held) {
        taken = size < 64 - held ? size : 64 - held;
        memcpy(md5->block + held, data, taken);
        data += taken;
        size -= taken;
        if (held + taken < 64)
            return;
        s3d_md5_blocks(md5, md5->block, 1);
    }
    s3d_md5_blocks(md5, data, size / 64);
    if (size % 64)
        memcpy(md5->block, data + size / 64 * 64, size % 64);
}

/* Writes 16 bytes; init before the next update. */
static inline void s3d_md5_final(s3d_md5 *md5, uint8_t *digest)
{
    static const uint8_t padding[64] = {0x80};
    uint8_t length[8];
    uint64_t bits = md5->total * 8;
    size_t held = md5->total % 64;
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> 8 * i);
    s3d_md5_update(md5, padding, held < 56 ? 56 - held : 120 - held);
    s3d_md5_update(md5, length, 8);
    for (int i = 0; i < 16; i++)
        digest[i] = (uint8_t)(md5->state[i / 4] >> 8 * (i % 4));
}

#endif
