"""The entries of object listings as XML: a thousand of them in a page, so they are written in C.

The elements and their order are those of ListObjects, ListObjectsV2 and ListObjectVersions in the Amazon S3 API
reference. XML 1.0 (§2.2) carries neither all characters of a key nor bytes that are no UTF-8. With
``encoding-type=url`` keys are percent-encoded; without it, what XML cannot carry is written as ``%XX`` for each of its
bytes, so that a parser can read the rest of the page.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t

from s3d._core.octets cimport Octets
from s3d._core.percent cimport s3d_percent_encode, s3d_percent_encoded_size

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef extern from *:
    """
    /* Of an ASCII byte: 1 where it stands for itself in XML text, 0 where something else is written. */
    static inline int s3d_plain(uint8_t byte) {
        return byte >= 0x20 && byte < 0x80 && byte != '&' && byte != '<' && byte != '>' && byte != '"';
    }

    /* Bytes of the UTF-8 sequence that data begins with, 0 if it is none (RFC 3629 section 4), or U+FFFE or U+FFFF. */
    static inline int s3d_utf8_size(const uint8_t *data, ptrdiff_t size) {
        uint8_t first = data[0];
        uint8_t least = 0x80, most = 0xBF;
        int length, index;
        if (first < 0x80) return 1;
        if (first < 0xC2 || first > 0xF4) return 0;
        length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        if (size < length) return 0;
        if (first == 0xE0) least = 0xA0;
        if (first == 0xED) most = 0x9F;
        if (first == 0xF0) least = 0x90;
        if (first == 0xF4) most = 0x8F;
        if (data[1] < least || data[1] > most) return 0;
        for (index = 2; index < length; index++) {
            if ((data[index] & 0xC0) != 0x80) return 0;
        }
        if (first == 0xEF && data[1] == 0xBF && data[2] >= 0xBE) return 0;
        return length;
    }

    /* Year, month and day of a number of days since 1970 in the proleptic Gregorian calendar, by eras of 400 years
     * that begin in March (Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days). */
    static inline void s3d_civil(int64_t days, int64_t *year, uint32_t *month, uint32_t *day) {
        int64_t shifted = days + 719468;
        int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
        uint32_t of_era = (uint32_t)(shifted - era * 146097);
        uint32_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
        uint32_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        uint32_t shifted_month = (5 * of_year + 2) / 153;
        *day = of_year - (153 * shifted_month + 2) / 5 + 1;
        *month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
        *year = (int64_t)year_of_era + era * 400 + (*month <= 2);
    }

    static inline void s3d_digits(uint8_t *out, uint32_t value, int count) {
        while (count--) {
            out[count] = '0' + value % 10;
            value /= 10;
        }
    }
    """
    bint s3d_plain(uint8_t byte) noexcept nogil
    int s3d_utf8_size(const uint8_t *data, Py_ssize_t size) noexcept nogil
    void s3d_civil(int64_t days, int64_t *year, uint32_t *month, uint32_t *day) noexcept nogil
    void s3d_digits(uint8_t *out, uint32_t value, int count) noexcept nogil

cdef const char *_HEX = b"0123456789ABCDEF"


cdef inline int _put_literal(Octets out, const char *text, Py_ssize_t size) except -1:
    return out.put(<const uint8_t *>text, size)


cdef int _put_text(Octets out, const uint8_t *data, Py_ssize_t size) except -1:
    """Append ``data`` as XML character data."""
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t at = 0
    cdef uint8_t byte
    cdef int length
    while at < size:
        byte = data[at]
        if s3d_plain(byte):
            at += 1
            continue
        length = s3d_utf8_size(data + at, size - at) if byte >= 0x80 else 0
        if length:
            at += length
            continue
        out.put(data + start, at - start)
        if byte == c"&":
            _put_literal(out, b"&amp;", 5)
        elif byte == c"<":
            _put_literal(out, b"&lt;", 4)
        elif byte == c">":
            _put_literal(out, b"&gt;", 4)
        elif byte == c'"':
            _put_literal(out, b"&quot;", 6)
        elif byte == 9:  # allowed, but a parser would turn these three into something else
            _put_literal(out, b"&#9;", 4)
        elif byte == 10:
            _put_literal(out, b"&#10;", 5)
        elif byte == 13:
            _put_literal(out, b"&#13;", 5)
        else:
            _put_escape(out, byte)
        at += 1
        start = at
    return out.put(data + start, size - start)


cdef int _put_escape(Octets out, uint8_t byte) except -1:
    cdef uint8_t escape[3]
    escape[0] = c"%"
    escape[1] = _HEX[byte >> 4]
    escape[2] = _HEX[byte & 15]
    return out.put(escape, 3)


cdef int _put_str(Octets out, str text) except -1:
    cdef Py_ssize_t size
    cdef const char *data = PyUnicode_AsUTF8AndSize(text, &size)
    return _put_text(out, <const uint8_t *>data, size)


cdef int _put_encoded(Octets out, const uint8_t *data, Py_ssize_t size) except -1:
    """Append ``data`` percent-encoded, ``/`` as it is."""
    cdef Py_ssize_t more = s3d_percent_encoded_size(data, size, True)
    if more > out.capacity - out.size:
        out.grow(more)
    out.size += s3d_percent_encode(data, size, out.data + out.size, True)
    return 0


cdef int _put_number(Octets out, int64_t value) except -1:
    cdef uint8_t digits[20]
    cdef int at = 20
    if value < 0:
        raise ValueError(f"an object has {value} bytes")
    while True:
        at -= 1
        digits[at] = c"0" + value % 10
        value //= 10
        if value == 0:
            return out.put(digits + at, 20 - at)


cdef int _put_date(Octets out, int64_t time_ms) except -1:
    """Append ``1994-11-06T08:49:37.000Z``: whole seconds, as Last-Modified has them, which clients compare with it."""
    cdef uint8_t text[24]
    cdef int64_t second = time_ms // 1000
    cdef int64_t days = second // 86400
    cdef uint32_t of_day = second - days * 86400
    cdef int64_t year
    cdef uint32_t month, day
    s3d_civil(days, &year, &month, &day)
    if year < 0 or year > 9999:
        raise ValueError(f"a time is in the year {year}")
    s3d_digits(text, year, 4)
    s3d_digits(text + 5, month, 2)
    s3d_digits(text + 8, day, 2)
    s3d_digits(text + 11, of_day // 3600, 2)
    s3d_digits(text + 14, of_day // 60 % 60, 2)
    s3d_digits(text + 17, of_day % 60, 2)
    text[4] = text[7] = c"-"
    text[10] = c"T"
    text[13] = text[16] = c":"
    text[19] = c"."
    text[20] = text[21] = text[22] = c"0"
    text[23] = c"Z"
    return out.put(text, 24)


def list_entries(list rows not None, *, bint encode=False, bytes owner=b"", bint versions=False):
    """The elements of ``rows``, (key, object) each, one after the other.

    An object has the attributes ``modified_ms``, ``etag``, ``size_bytes``, ``storage_class`` and ``checksum``; that is
    None or has ``algorithm`` and ``kind``. ``encode``: as ``encoding-type=url`` asks. ``owner``: a ready element, or
    nothing. ``versions``: ``Version`` elements of an unversioned bucket instead of ``Contents``.

    ``ValueError`` for a negative size or a year of more than four digits.
    """
    cdef Octets out = Octets()
    cdef tuple row
    cdef bytes key
    cdef object item, checksum
    for row in rows:
        key, item = row
        if versions:
            _put_literal(out, b"<Version><Key>", 14)
        else:
            _put_literal(out, b"<Contents><Key>", 15)
        if encode:
            _put_encoded(out, <const uint8_t *><const char *>key, len(key))
        else:
            _put_text(out, <const uint8_t *><const char *>key, len(key))
        _put_literal(out, b"</Key>", 6)
        if versions:
            _put_literal(out, b"<VersionId>null</VersionId><IsLatest>true</IsLatest>", 52)
        _put_literal(out, b"<LastModified>", 14)
        _put_date(out, item.modified_ms)
        _put_literal(out, b"</LastModified><ETag>&quot;", 27)
        _put_str(out, item.etag)
        _put_literal(out, b"&quot;</ETag>", 13)
        checksum = item.checksum
        if checksum is not None:
            _put_literal(out, b"<ChecksumAlgorithm>", 19)
            _put_str(out, checksum.algorithm)
            _put_literal(out, b"</ChecksumAlgorithm><ChecksumType>", 34)
            _put_str(out, checksum.kind)
            _put_literal(out, b"</ChecksumType>", 15)
        _put_literal(out, b"<Size>", 6)
        _put_number(out, item.size_bytes)
        _put_literal(out, b"</Size>", 7)
        out.put_bytes(owner)
        _put_literal(out, b"<StorageClass>", 14)
        _put_str(out, item.storage_class)
        if versions:
            _put_literal(out, b"</StorageClass></Version>", 25)
        else:
            _put_literal(out, b"</StorageClass></Contents>", 26)
    return PyBytes_FromStringAndSize(<char *>out.data, out.size)
