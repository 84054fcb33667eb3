/* SHA-256 and HMAC-SHA-256 without OpenSSL's per-call costs.
 *
 * A signature hashes about 600 bytes in two messages and one HMAC. Through hashlib and hmac.digest that is 4.3 us, nearly
 * all of it allocation and dispatch; here it is about 0.7 us with the CPU's SHA instructions. The kernel is chosen
 * once, when the first context is made; all kernels give the same digests (tests/core/test_digest.py compares them
 * with hashlib). Sources: FIPS 180-4, RFC 2104.
 *
 * Nothing here allocates or fails. Pointers are borrowed for the call; `data` may be NULL when `size` is 0.
 */
#ifndef S3D_NATIVE_SHA256_H
#define S3D_NATIVE_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

static const uint32_t S3D_SHA256_K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

typedef void (*s3d_sha256_kernel)(uint32_t state[8], const uint8_t *data, size_t blocks);

static inline uint32_t s3d_ror32(uint32_t value, int count) { return (value >> count) | (value << (32 - count)); }

/* The definition, word by word (FIPS 180-4 section 6.2.2). */
static void s3d_sha256_portable(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    for (; blocks; blocks--, data += 64) {
        uint32_t w[64], s[8];
        for (int t = 0; t < 16; t++)
            w[t] = (uint32_t)data[4 * t] << 24 | (uint32_t)data[4 * t + 1] << 16 | (uint32_t)data[4 * t + 2] << 8 |
                   data[4 * t + 3];
        for (int t = 16; t < 64; t++) {
            uint32_t a = w[t - 15], b = w[t - 2];
            w[t] = w[t - 16] + w[t - 7] + (s3d_ror32(a, 7) ^ s3d_ror32(a, 18) ^ (a >> 3)) +
                   (s3d_ror32(b, 17) ^ s3d_ror32(b, 19) ^ (b >> 10));
        }
        memcpy(s, state, sizeof s);
        for (int t = 0; t < 64; t++) {
            uint32_t t1 = s[7] + (s3d_ror32(s[4], 6) ^ s3d_ror32(s[4], 11) ^ s3d_ror32(s[4], 25)) +
                          ((s[4] & s[5]) ^ (~s[4] & s[6])) + S3D_SHA256_K[t] + w[t];
            uint32_t t2 = (s3d_ror32(s[0], 2) ^ s3d_ror32(s[0], 13) ^ s3d_ror32(s[0], 22)) +
                          ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            s[7] = s[6], s[6] = s[5], s[5] = s[4], s[4] = s[3] + t1;
            s[3] = s[2], s[2] = s[1], s[1] = s[0], s[0] = t1 + t2;
        }
        for (int i = 0; i < 8; i++)
            state[i] += s[i];
    }
}

#if defined(__x86_64__)
/* Intel's SHA extensions: two rounds an instruction on the state as (ABEF, CDGH). */
__attribute__((target("sha,sse4.1,ssse3")))
static void s3d_sha256_x86(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(low, high, 8);
    __m128i cdgh = _mm_blend_epi16(high, low, 0xF0);
    for (; blocks; blocks--, data += 64) {
        __m128i abef_before = abef, cdgh_before = cdgh, w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), swap);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i wk = _mm_add_epi32(w[i & 3], _mm_loadu_si128((const __m128i *)(S3D_SHA256_K + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0E));
            if (i < 12) {
                __m128i next = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
                next = _mm_add_epi32(next, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(next, w[(i + 3) & 3]);
            }
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    low = _mm_shuffle_epi32(abef, 0x1B);
    high = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
}
#elif defined(__aarch64__) && defined(__linux__)
/* ARMv8's SHA-2 instructions: four rounds an instruction pair. */
__attribute__((target("+crypto")))
static void s3d_sha256_arm(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
    for (; blocks; blocks--, data += 64) {
        uint32x4_t abcd_before = abcd, efgh_before = efgh, w[4];
        for (int i = 0; i < 4; i++)
            w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16 * i)));
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            uint32x4_t wk = vaddq_u32(w[i & 3], vld1q_u32(S3D_SHA256_K + 4 * i)), previous = abcd;
            if (i < 12)
                w[i & 3] = vsha256su1q_u32(vsha256su0q_u32(w[i & 3], w[(i + 1) & 3]), w[(i + 2) & 3], w[(i + 3) & 3]);
            abcd = vsha256hq_u32(abcd, efgh, wk);
            efgh = vsha256h2q_u32(efgh, previous, wk);
        }
        abcd = vaddq_u32(abcd, abcd_before);
        efgh = vaddq_u32(efgh, efgh_before);
    }
    vst1q_u32(state, abcd);
    vst1q_u32(state + 4, efgh);
}
#endif

/* The fastest kernel of this CPU. */
static s3d_sha256_kernel s3d_sha256_choose(void)
{
#if defined(__x86_64__)
    unsigned int a, b, c, d;
    const unsigned int ssse3_and_sse41 = 1u << 9 | 1u << 19;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c & ssse3_and_sse41) == ssse3_and_sse41 &&
        __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29))
        return s3d_sha256_x86;
#elif defined(__aarch64__) && defined(__linux__)
    if (getauxval(AT_HWCAP) & 1ul << 6) /* HWCAP_SHA2 */
        return s3d_sha256_arm;
#endif
    return s3d_sha256_portable;
}

static s3d_sha256_kernel s3d_sha256_chosen = NULL;

static inline s3d_sha256_kernel s3d_sha256_best(void)
{
    if (!s3d_sha256_chosen)
        s3d_sha256_chosen = s3d_sha256_choose();
    return s3d_sha256_chosen;
}

/* Whether the CPU's own SHA-256 is in use; without it OpenSSL's vector code is faster on long bodies. */
static inline int s3d_sha256_accelerated(void) { return s3d_sha256_best() != s3d_sha256_portable; }

typedef struct {
    s3d_sha256_kernel kernel;
    uint64_t size;       /* bytes hashed so far */
    uint32_t state[8];
    uint8_t pending[64]; /* the size % 64 bytes that do not fill a block yet */
} s3d_sha256;

static inline void s3d_sha256_init(s3d_sha256 *ctx, int portable)
{
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    ctx->kernel = portable ? s3d_sha256_portable : s3d_sha256_best();
    ctx->size = 0;
    memcpy(ctx->state, initial, sizeof initial);
}

static inline void s3d_sha256_update(s3d_sha256 *ctx, const uint8_t *data, size_t size)
{
    size_t fill = (size_t)(ctx->size & 63);
    if (size == 0)
        return;
    ctx->size += size;
    if (fill) {
        size_t take = 64 - fill < size ? 64 - fill : size;
        memcpy(ctx->pending + fill, data, take);
        data += take;
        size -= take;
        if (fill + take < 64)
            return;
        ctx->kernel(ctx->state, ctx->pending, 1);
    }
    if (size >= 64) {
        ctx->kernel(ctx->state, data, size / 64);
        data += size & ~(size_t)63;
        size &= 63;
    }
    if (size)
        memcpy(ctx->pending, data, size);
}

static inline void s3d_sha256_final(s3d_sha256 *ctx, uint8_t digest[32])
{
    size_t fill = (size_t)(ctx->size & 63);
    uint64_t bits = ctx->size << 3;
    ctx->pending[fill++] = 0x80;
    if (fill > 56) {
        memset(ctx->pending + fill, 0, 64 - fill);
        ctx->kernel(ctx->state, ctx->pending, 1);
        fill = 0;
    }
    memset(ctx->pending + fill, 0, 56 - fill);
    for (int i = 0; i < 8; i++)
        ctx->pending[56 + i] = (uint8_t)(bits >> (56 - 8 * i));
    ctx->kernel(ctx->state, ctx->pending, 1);
    for (int i = 0; i < 32; i++)
        digest[i] = (uint8_t)(ctx->state[i / 4] >> (24 - 8 * (i % 4)));
}

/* One message of one piece. */
static inline void s3d_sha256_of(const uint8_t *data, size_t size, uint8_t digest[32])
{
    s3d_sha256 ctx;
    s3d_sha256_init(&ctx, 0);
    s3d_sha256_update(&ctx, data, size);
    s3d_sha256_final(&ctx, digest);
}

/* An HMAC key as the two hash states after its padded blocks (RFC 2104 section 4): half the work of each HMAC. */
typedef struct {
    uint32_t inner[8];
    uint32_t outer[8];
} s3d_hmac_key;

static inline void s3d_hmac_key_init(s3d_hmac_key *key, const uint8_t *secret, size_t size)
{
    s3d_sha256 ctx;
    uint8_t block[64] = {0};
    if (size > 64)
        s3d_sha256_of(secret, size, block);
    else if (size)
        memcpy(block, secret, size);
    for (int i = 0; i < 64; i++)
        block[i] ^= 0x36;
    s3d_sha256_init(&ctx, 0);
    ctx.kernel(ctx.state, block, 1);
    memcpy(key->inner, ctx.state, sizeof key->inner);
    for (int i = 0; i < 64; i++)
        block[i] ^= 0x36 ^ 0x5c;
    s3d_sha256_init(&ctx, 0);
    ctx.kernel(ctx.state, block, 1);
    memcpy(key->outer, ctx.state, sizeof key->outer);
}

static inline void s3d_hmac_sha256(const s3d_hmac_key *key, const uint8_t *data, size_t size, uint8_t digest[32])
{
    s3d_sha256 ctx;
    uint8_t inner[32];
    s3d_sha256_init(&ctx, 0);
    memcpy(ctx.state, key->inner, sizeof key->inner);
    ctx.size = 64;
    s3d_sha256_update(&ctx, data, size);
    s3d_sha256_final(&ctx, inner);
    s3d_sha256_init(&ctx, 0);
    memcpy(ctx.state, key->outer, sizeof key->outer);
    ctx.size = 64;
    s3d_sha256_update(&ctx, inner, sizeof inner);
    s3d_sha256_final(&ctx, digest);
}

/* Lower-case hexadecimal digits of 32 bytes. */
static inline void s3d_hex32(const uint8_t digest[32], uint8_t out[64])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        out[2 * i] = (uint8_t)digits[digest[i] >> 4];
        out[2 * i + 1] = (uint8_t)digits[digest[i] & 15];
    }
}

/* Whether two spans of one size are equal, in a time that tells nothing about where they differ. */
static inline int s3d_equal_constant_time(const uint8_t *a, const uint8_t *b, size_t size)
{
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < size; i++)
        difference = (uint8_t)(difference | (a[i] ^ b[i]));
    return difference == 0;
}

#endif
