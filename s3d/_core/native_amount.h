/* Reads what can be compared by more than its spelling: numbers, sizes, durations, dates.
 *
 * Amounts are whole numbers of 10^-9 (of one, a byte, a second) in 128 bits, so that nothing is rounded: up to 18 digits
 * before the point and 9 after it. Sources: RFC 9110 §5.6.7 (IMF-fixdate), ISO 8601-1:2019 §5.2.2 and §5.4 (extended
 * format), Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (days_from_civil and back).
 */
#ifndef S3D_NATIVE_AMOUNT_H
#define S3D_NATIVE_AMOUNT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef __int128 s3d_amount;

enum { S3D_NO_AMOUNT, S3D_NUMBER, S3D_SIZE, S3D_DURATION, S3D_DATE };

#define S3D_NANO 1000000000

static const char s3d_months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char s3d_weekdays[] = "ThuFriSatSunMonTueWed"; /* 1970 began on a Thursday */

/* Days since 1970-01-01 of a date of the Gregorian calendar, year 1 or later. */
static inline int64_t s3d_days(int64_t year, int month, int day)
{
    int64_t era, of_era, of_year;
    year -= month <= 2;
    era = year / 400;
    of_era = year - era * 400;
    of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* The number that exactly `count` digits at `text` make, or -1. */
static inline int s3d_digits(const uint8_t *text, int count)
{
    int number = 0;
    for (int i = 0; i < count; i++) {
        uint8_t digit = (uint8_t)(text[i] - '0');
        if (digit > 9)
            return -1;
        number = number * 10 + digit;
    }
    return number;
}

/* Seconds since 1970, or INT64_MIN for a date or time that does not exist. A leap second is the second before it. */
static inline int64_t s3d_seconds(int year, int month, int day, int hour, int minute, int second)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap, length;
    if (year < 1 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 60)
        return INT64_MIN;
    leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    length = lengths[month - 1] + (month == 2 && leap);
    if (day > length)
        return INT64_MIN;
    return s3d_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + (second > 59 ? 59 : second);
}

/* `Sun, 06 Nov 1994 08:49:37 GMT` */
static inline int64_t s3d_read_imf(const uint8_t *text, size_t size)
{
    int month = 0;
    if (size != 29 || text[3] != ',' || text[4] != ' ' || text[7] != ' ' || text[11] != ' ' || text[16] != ' ' ||
        text[19] != ':' || text[22] != ':' || memcmp(text + 25, " GMT", 4) != 0)
        return INT64_MIN;
    for (int i = 0; i < 12; i++)
        if (memcmp(text + 8, s3d_months + 3 * i, 3) == 0)
            month = i + 1;
    for (int i = 0; i < 7; i++)
        if (memcmp(text, s3d_weekdays + 3 * i, 3) == 0)
            return s3d_seconds(s3d_digits(text + 12, 4), month, s3d_digits(text + 5, 2), s3d_digits(text + 17, 2),
                               s3d_digits(text + 20, 2), s3d_digits(text + 23, 2));
    return INT64_MIN;
}

/* `2026-01-31`, or with a time: `T08:49`, seconds, a fraction of up to 9 digits, and `Z` or `+01:00`; UTC without. */
static inline int s3d_read_iso(const uint8_t *text, size_t size, s3d_amount *amount)
{
    int64_t seconds, nanos = 0;
    int hour = 0, minute = 0, second = 0, offset = 0;
    size_t at = 10;
    if (size < 10 || text[4] != '-' || text[7] != '-')
        return 0;
    if (size > 10) {
        if (size < 16 || (text[10] != 'T' && text[10] != 't' && text[10] != ' ') || text[13] != ':')
            return 0;
        hour = s3d_digits(text + 11, 2);
        minute = s3d_digits(text + 14, 2);
        at = 16;
        if (at < size && text[at] == ':') {
            if (size < 19)
                return 0;
            second = s3d_digits(text + 17, 2);
            at = 19;
            if (at < size && text[at] == '.') {
                int count = 0;
                while (++at < size && (uint8_t)(text[at] - '0') <= 9) {
                    if (++count > 9)
                        return 0;
                    nanos = nanos * 10 + (text[at] - '0');
                }
                if (count == 0)
                    return 0;
                for (; count < 9; count++)
                    nanos *= 10;
            }
        }
        if (size - at == 1 && (text[at] == 'Z' || text[at] == 'z')) {
            at++;
        } else if (size - at == 6 && (text[at] == '+' || text[at] == '-') && text[at + 3] == ':') {
            int hours = s3d_digits(text + at + 1, 2), minutes = s3d_digits(text + at + 4, 2);
            if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
                return 0;
            offset = (hours * 60 + minutes) * (text[at] == '+' ? -60 : 60);
            at = size;
        }
        if (at != size)
            return 0;
    }
    seconds = s3d_seconds(s3d_digits(text, 4), s3d_digits(text + 5, 2), s3d_digits(text + 8, 2), hour, minute, second);
    if (seconds == INT64_MIN)
        return 0;
    *amount = (s3d_amount)(seconds + offset) * S3D_NANO + nanos;
    return 1;
}

/* What the letters after a number make of it: its kind, and by how much it is multiplied. In any case. */
static inline int s3d_read_unit(const uint8_t *text, size_t size, int64_t *factor)
{
    uint8_t last = text[size - 1] | 0x20;
    uint8_t first = text[0] | 0x20;
    *factor = 1;
    if (size == 1) {
        switch (first) {
        case 'b':
            return S3D_SIZE;
        case 's':
            return S3D_DURATION;
        case 'm':
            *factor = 60;
            return S3D_DURATION;
        case 'h':
            *factor = 3600;
            return S3D_DURATION;
        case 'd':
            *factor = 86400;
            return S3D_DURATION;
        case 'w':
            *factor = 604800;
            return S3D_DURATION;
        default:
            return S3D_NO_AMOUNT;
        }
    }
    if (size <= 3 && last == 'b' && (size == 2 || (text[1] | 0x20) == 'i')) {
        const char *units = "kmgtp", *found = (const char *)memchr(units, first, 5);
        if (found == NULL)
            return S3D_NO_AMOUNT;
        for (int i = 0; i <= found - units; i++)
            *factor *= size == 2 ? 1000 : 1024;
        return S3D_SIZE;
    }
    return S3D_NO_AMOUNT;
}

/* What `text` says, white space around it aside: its kind and, unless that is S3D_NO_AMOUNT, how much. */
static inline int s3d_read_amount(const uint8_t *text, size_t size, s3d_amount *amount)
{
    int64_t whole = 0, nanos = 0, factor = 1;
    int negative, digits = 0, decimals = 0, kind = S3D_NUMBER;
    size_t at = 0;
    while (size && (text[0] == ' ' || text[0] == '\t'))
        text++, size--;
    while (size && (text[size - 1] == ' ' || text[size - 1] == '\t'))
        size--;
    /* The longest that is an amount is a date, a fraction and an offset. */
    if (size == 0 || size > 40)
        return S3D_NO_AMOUNT;
    if (text[0] >= 'A') {
        int64_t seconds = s3d_read_imf(text, size);
        if (seconds == INT64_MIN)
            return S3D_NO_AMOUNT;
        *amount = (s3d_amount)seconds * S3D_NANO;
        return S3D_DATE;
    }
    if (s3d_read_iso(text, size, amount))
        return S3D_DATE;
    negative = text[0] == '-';
    at = (size_t)negative;
    for (; at < size && (uint8_t)(text[at] - '0') <= 9; at++) {
        if (++digits > 18)
            return S3D_NO_AMOUNT;
        whole = whole * 10 + (text[at] - '0');
    }
    if (digits == 0)
        return S3D_NO_AMOUNT;
    if (at < size && text[at] == '.') {
        while (++at < size && (uint8_t)(text[at] - '0') <= 9) {
            if (++decimals > 9)
                return S3D_NO_AMOUNT;
            nanos = nanos * 10 + (text[at] - '0');
        }
        if (decimals == 0)
            return S3D_NO_AMOUNT;
        for (; decimals < 9; decimals++)
            nanos *= 10;
    }
    if (at < size) {
        while (at < size && text[at] == ' ')
            at++;
        kind = s3d_read_unit(text + at, size - at, &factor);
        if (negative)
            return S3D_NO_AMOUNT;
    }
    /* Below 10^18 * 2^50 * 10^9 < 2^140 only by its checks: what is larger than any size or time is no amount. */
    if ((s3d_amount)whole * factor > INT64_MAX)
        return S3D_NO_AMOUNT;
    *amount = (s3d_amount)whole * factor * S3D_NANO + (s3d_amount)nanos * factor;
    if (negative)
        *amount = -*amount;
    return kind;
}

/* Whether a value of the first kind may be compared with a constant of the second. A bare number is bytes beside a
 * size, and seconds beside a duration. */
static inline int s3d_comparable(int value, int constant)
{
    return value != S3D_NO_AMOUNT &&
           (value == constant || (value == S3D_NUMBER && (constant == S3D_SIZE || constant == S3D_DURATION)));
}

/* Writes `number`, not negative, in decimal; returns the digits written, at most 19. */
static inline size_t s3d_write_number(int64_t number, uint8_t *out)
{
    uint8_t digits[20];
    size_t count = 0;
    do {
        digits[count++] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number);
    for (size_t i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    return count;
}

/* Writes a time of the years 1970 to 9999 as IMF-fixdate: 29 bytes; returns 0 for any other time. */
static inline size_t s3d_write_imf(int64_t seconds, uint8_t *out)
{
    int64_t days = seconds / 86400, rest = seconds % 86400, shifted, era, of_era, year_of_era, of_year, year;
    int month, day;
    if (seconds < 0 || seconds > 253402300799)
        return 0;
    shifted = days + 719468;
    era = shifted / 146097;
    of_era = shifted - era * 146097;
    year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    month = (int)((5 * of_year + 2) / 153);
    day = (int)(of_year - (153 * month + 2) / 5 + 1);
    month += month < 10 ? 3 : -9;
    year = year_of_era + era * 400 + (month <= 2);
    memcpy(out, s3d_weekdays + 3 * (days % 7), 3);
    memcpy(out + 3, ", 00 Jan 0000 00:00:00 GMT", 26);
    out[5] += (uint8_t)(day / 10);
    out[6] += (uint8_t)(day % 10);
    memcpy(out + 8, s3d_months + 3 * (month - 1), 3);
    for (int i = 15; i >= 12; i--, year /= 10)
        out[i] += (uint8_t)(year % 10);
    out[17] += (uint8_t)(rest / 36000);
    out[18] += (uint8_t)(rest / 3600 % 10);
    out[20] += (uint8_t)(rest / 600 % 6);
    out[21] += (uint8_t)(rest / 60 % 10);
    out[23] += (uint8_t)(rest / 10 % 6);
    out[24] += (uint8_t)(rest % 10);
    return 29;
}

#endif
