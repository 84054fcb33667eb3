"""From a request's head to operation, bucket and key.

Targets follow RFC 9112 §3.2; addresses the two styles of "Virtual hosting of buckets" in the Amazon S3 User Guide.
Bucket and key are taken raw and percent-decoded once, never normalized: ``//``, ``..`` and every byte may be part of a
key.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport uint8_t
from libc.string cimport memchr

from s3d._core.fault cimport Fault, FaultCode
from s3d._core.percent cimport percent_decode
from s3d._core.request cimport Request

cdef extern from *:
    """
    /* Whether a target holds a control character or a space, which RFC 3986 keeps out of it. */
    static int s3d_unprintable(const unsigned char *data, Py_ssize_t size) {
        Py_ssize_t index;
        unsigned char found = 0;
        for (index = 0; index < size; index++) found |= (data[index] < 0x21) | (data[index] == 0x7f);
        return found;
    }

    static inline unsigned char s3d_lower(unsigned char byte) {
        return (unsigned char)(byte - 'A') < 26 ? byte | 0x20 : byte;
    }

    /* Whether size bytes of data are lower (already in lower case), letter case aside. */
    static int s3d_equal_folded(const unsigned char *data, const unsigned char *lower, Py_ssize_t size) {
        Py_ssize_t index;
        for (index = 0; index < size; index++) if (s3d_lower(data[index]) != lower[index]) return 0;
        return 1;
    }

    /* Bytes of bucket names: letters, digits, dot, hyphen; underscores and capitals of older and compatible stores;
     * the colon of ARNs and of tenants. */
    static int s3d_bucket_bytes(const unsigned char *data, Py_ssize_t size) {
        Py_ssize_t index;
        for (index = 0; index < size; index++) {
            unsigned char byte = data[index];
            if (!((unsigned char)((byte | 0x20) - 'a') < 26 || (unsigned char)(byte - '-') < 2
                  || (unsigned char)(byte - '0') < 11 || byte == '_')) return 0;
        }
        return 1;
    }

    /* The end of the query pair that begins at data. *equals becomes the first "=" of it, or its end; *escaped whether
     * anything in it is to be decoded. */
    static const unsigned char *s3d_query_pair(const unsigned char *data, const unsigned char *end,
                                               const unsigned char **equals, int *escaped) {
        const unsigned char *split = NULL;
        int found = 0;
        for (; data < end && *data != '&'; data++) {
            if (*data == '=' && split == NULL) split = data;
            found |= (*data == '%') | (*data == '+');
        }
        *equals = split == NULL ? data : split;
        *escaped = found;
        return data;
    }
    """
    bint s3d_unprintable(const uint8_t *data, Py_ssize_t size) noexcept nogil
    uint8_t s3d_lower(uint8_t byte) noexcept nogil
    bint s3d_equal_folded(const uint8_t *data, const uint8_t *lower, Py_ssize_t size) noexcept nogil
    bint s3d_bucket_bytes(const uint8_t *data, Py_ssize_t size) noexcept nogil
    const uint8_t *s3d_query_pair(
        const uint8_t *data, const uint8_t *end, const uint8_t **equals, int *escaped
    ) noexcept nogil

cdef enum:
    SERVICE = 0
    BUCKET = 1
    OBJECT = 2

# "Object key names", Amazon S3 User Guide: at most 1,024 bytes long.
cdef Py_ssize_t MAX_KEY_BYTES = 1024
# Buckets in us-east-1 could once have names of 255 characters; today's limit is 63.
cdef Py_ssize_t MAX_BUCKET_BYTES = 255

# Module-level objects, so that the hot path neither builds nor looks up anything.
cdef bytes EMPTY = b""
cdef bytes OPTIONS = b"OPTIONS"
cdef bytes GET = b"GET"
cdef bytes HEAD = b"HEAD"
cdef bytes POST = b"POST"
cdef bytes X_ID = b"x-id"
cdef bytes VERSION_ID = b"versionId"
cdef bytes AUTHORIZATION = b"authorization"


@cython.final
@cython.auto_pickle(False)
cdef class _Line:
    """One line of the table: an operation, and what a request must show for it."""

    def __cinit__(self, object route):
        self.operation = route.operation
        self.queries = tuple(route.queries)
        self.headers = tuple(route.headers)
        self.hints = tuple(route.hints)
        self.hint_id = route.hint_id
        self.scope = b"/" + route.scope + b"/aws4_request" if route.scope else b""
        self.strays = tuple(route.strays)
        self.fallback = route.fallback

    cdef bint fits(self, Request request) except -1:
        cdef bytes name, authorization
        for name in self.queries:
            if request.param(name) is None:
                return False
        for name in self.headers:
            if request.header(name) is None and not has_hoisted(request, name):
                return False
        if not self.hint_id:
            return True
        for name in self.hints:
            if request.param(name) is not None:
                return True
        if request.param(X_ID) == self.hint_id:
            return True
        authorization = request.header(AUTHORIZATION) if self.scope else None
        return authorization is not None and self.scope in authorization


cdef bint has_hoisted(Request request, bytes header) except -1:
    """Whether a presigned URL carries ``header`` as a query parameter, whose letter case is the signer's choice."""
    cdef tuple pair
    for pair in request.params:
        if PyBytes_GET_SIZE(<bytes>pair[0]) == PyBytes_GET_SIZE(header) and (<bytes>pair[0]).lower() == header:
            return True
    return False


@cython.final
@cython.auto_pickle(False)
cdef class _Selector:
    """A query key that selects an operation, bare or with one of ``values``."""

    def __cinit__(self, bytes name):
        self.name = name


@cython.final
@cython.auto_pickle(False)
cdef class Router:
    """Routes requests by a table of lines; immutable, and cheap enough to ask for every request.

    ``routes``: objects with the attributes of `s3d.s3.operations.Route`, most specific first. ``domains``: names under
    which ``bucket.name`` addresses a bucket, in any letter case; ValueError for one that is no host name, as an IP
    address is not.
    """

    def __init__(self, object routes, object domains=()):
        cdef _Line line
        cdef _Selector selector
        self.methods = {}
        self.cells = []
        self.selectors = [{}, {}, {}]
        self.literals = {}
        self.preflight = -1
        self.domains = sorted({domain_name(domain) for domain in domains}, key=len, reverse=True)
        for route in routes:
            line = _Line(route)
            if route.method == OPTIONS:
                self.preflight = line.operation
            if route.method not in self.methods:
                self.methods[route.method] = len(self.methods)
                self.cells += [{}, {}, {}]
            if route.path:
                self.literals.setdefault(route.path, []).append((route.method, line))
                continue
            cell = self.cells[3 * self.methods[route.method] + route.target]
            cell.setdefault(self._entry(route), []).append(line)
        # Another target's subresource is none of this one's: a write must not be read past it (DELETE /b/k?lifecycle is
        # no DeleteObject, DELETE /b?uploadId=1 no DeleteBucket). It has no cell, so it selects nothing; nor has a
        # version of a bucket, which is an object's whose key got lost. To a read they are parameters like any other.
        selector = _Selector(VERSION_ID)
        selector.strong = True
        self.write_selectors = [
            self.selectors[SERVICE],
            {VERSION_ID: selector} | self._strong(OBJECT) | self.selectors[BUCKET],
            self._strong(BUCKET) | self.selectors[OBJECT],
        ]

    def _strong(self, target):
        """The selectors of ``target`` that outweigh all others, by name."""
        return {name: one for name, one in self.selectors[target].items() if (<_Selector>one).strong}

    def _entry(self, route):
        """Register the selector of ``route``; return the name of its entry in the cell."""
        if not route.selector:
            return EMPTY
        cdef _Selector selector = self.selectors[route.target].setdefault(route.selector, _Selector(route.selector))
        if route.selector_value is None:
            selector.strong = True
            return route.selector
        if selector.values is None:
            selector.values = {}
        # "=" cannot be in the name of a bare key of the table, so the entries never collide.
        return selector.values.setdefault(route.selector_value, route.selector + b"=" + route.selector_value)

    cpdef int route(self, Request request) except -1:
        """Fill in ``operation``, ``bucket``, ``key``, ``params`` and ``virtual_host``; return the operation's index.

        A target in absolute form also replaces ``path``, and its authority ``host`` (RFC 9112 §3.2.2); ``target`` and
        ``headers`` stay as they came.

        Raises `Fault`: INVALID_URI (neither a path nor a URL, an escape that is none, a control character),
        INVALID_BUCKET_NAME (also for an empty one, as in ``//key``), KEY_TOO_LONG, METHOD_NOT_ALLOWED (nothing in the
        table has this method here, or this subresource by this method or here), INVALID_ARGUMENT (two subresources at
        once, or an operation without a query parameter that makes it out). The request is then partly filled in.
        """
        cdef const uint8_t *data
        cdef const uint8_t *slash
        cdef Py_ssize_t size, start, bucket_size
        cdef int row, target, literal
        cdef PyObject *found
        cdef bytes entry

        request.operation = -1
        request.bucket = ""
        request.key = EMPTY
        request.params = []
        request.virtual_host = False

        found = PyDict_GetItem(self.methods, request.method)
        if found is NULL:
            raise Fault(FaultCode.METHOD_NOT_ALLOWED, "The specified method is not allowed against this resource.")
        row = <object>found

        data = <const uint8_t *>PyBytes_AS_STRING(request.target)
        size = PyBytes_GET_SIZE(request.target)
        if s3d_unprintable(data, size):
            raise Fault(FaultCode.INVALID_URI, "Couldn't parse the specified URI: it holds a control character.")
        if size == 0 or data[0] != c"/":
            if size == 1 and data[0] == c"*" and request.method == OPTIONS:
                request.operation = self.preflight
                return self.preflight
            self._enter_absolute(request)
        data = <const uint8_t *>PyBytes_AS_STRING(request.path)
        size = PyBytes_GET_SIZE(request.path)

        # Address: either way, `start` becomes the offset of the key in the path.
        bucket_size = self._virtual_size(request.host)
        if bucket_size >= 0:
            request.virtual_host = True
            request.bucket = virtual_bucket(<const uint8_t *>PyBytes_AS_STRING(request.host), bucket_size)
            start = 1
            target = OBJECT if size > 1 else BUCKET
        elif size == 1:
            start = 1
            target = SERVICE
        else:
            slash = <const uint8_t *>memchr(data + 1, c"/", size - 1)
            bucket_size = size - 1 if slash is NULL else slash - data - 1
            request.bucket = path_bucket(data + 1, bucket_size)
            start = bucket_size + 2
            target = OBJECT if start < size else BUCKET
        if target == OBJECT:
            request.key = percent_decode(data + start, size - start, False)
            if PyBytes_GET_SIZE(request.key) > MAX_KEY_BYTES:
                raise Fault(FaultCode.KEY_TOO_LONG, "Your key is too long.")

        entry = EMPTY
        if PyBytes_GET_SIZE(request.query) > 0:
            entry = self._read_query(request, target)

        if request.method == OPTIONS:
            request.operation = self.preflight
            return self.preflight
        if request.method == POST:
            literal = self._literal(request)
            if literal >= 0:
                request.operation = literal
                return literal

        request.operation = self._select(request, <dict>self.cells[3 * row + target], entry)
        return request.operation

    cdef int _select(self, Request request, dict cell, bytes entry) except -1:
        """The operation of the first line in the ``entry`` of ``cell`` that fits."""
        cdef PyObject *found = PyDict_GetItem(cell, entry)
        cdef _Line line
        cdef bytes name
        if found is NULL and memchr(PyBytes_AS_STRING(entry), c"=", PyBytes_GET_SIZE(entry)) is not NULL:
            # A weak selector that this method does not know, as in PUT ?list-type=2, selects nothing.
            found = PyDict_GetItem(cell, EMPTY)
        if found is NULL:
            raise Fault(FaultCode.METHOD_NOT_ALLOWED, "The specified method is not allowed against this resource.")
        for line in <list>found:
            if not line.fits(request) and not line.fallback:
                continue
            if request.params:
                for name in line.strays:
                    if request.param(name) is not None:
                        raise Fault(
                            FaultCode.INVALID_ARGUMENT, f"The query parameter {name.decode()} needs others beside it."
                        )
            return line.operation
        line = (<list>found)[-1]
        raise Fault(
            FaultCode.INVALID_ARGUMENT, f"This request needs {b', '.join(line.queries + line.headers).decode()}."
        )

    cdef int _enter_absolute(self, Request request) except -1:
        """Take ``http://host/path`` apart (RFC 9112 §3.2.2): its authority becomes the host, its path the path."""
        cdef bytes target = request.target
        cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(target)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(target)
        cdef Py_ssize_t start, end
        if size > 7 and s3d_equal_folded(data, b"http://", 7):
            start = 7
        elif size > 8 and s3d_equal_folded(data, b"https://", 8):
            start = 8
        else:
            raise Fault(FaultCode.INVALID_URI, "Couldn't parse the specified URI: it must begin with a slash.")
        end = start
        while end < size and data[end] != c"/" and data[end] != c"?":
            # User information has no place in a request (RFC 9110 §4.2.4): it makes a host look like another.
            if data[end] == c"@":
                raise Fault(FaultCode.INVALID_URI, "Couldn't parse the specified URI: it names a user.")
            end += 1
        if end == start:
            raise Fault(FaultCode.INVALID_URI, "Couldn't parse the specified URI: it names no host.")
        request.host = target[start:end]
        start = end
        while end < size and data[end] != c"?":
            end += 1
        # An empty path is the root (RFC 9110 §4.2.3). The query, after the first "?", is the same in both forms.
        request.path = target[start:end] if end > start else b"/"
        return 0

    cdef Py_ssize_t _virtual_size(self, bytes host) except -2:
        """Bytes of ``host`` before ``.domain``, or -1 when it names no bucket.

        The port and one final dot are ignored. A host that is a domain of ours itself is path style even where it
        also lies below another; a longer domain wins over a shorter one.
        """
        cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(host)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(host)
        cdef Py_ssize_t domain_size
        cdef bytes domain
        cdef const uint8_t *colon
        if size == 0 or data[0] == c"[":
            return -1
        colon = <const uint8_t *>memchr(data, c":", size)
        if colon is not NULL:
            size = colon - data
        if size > 0 and data[size - 1] == c".":
            size -= 1
        for domain in self.domains:
            domain_size = PyBytes_GET_SIZE(domain)
            if size < domain_size or not s3d_equal_folded(
                data + size - domain_size, <const uint8_t *>PyBytes_AS_STRING(domain), domain_size
            ):
                continue
            if size == domain_size:
                return -1
            if data[size - domain_size - 1] == c".":
                return size - domain_size - 1
        return -1

    cdef int _literal(self, Request request) except -2:
        """The operation that has exactly this path, and whose required bindings are there; -1 if there is none."""
        cdef PyObject *found = PyDict_GetItem(self.literals, request.path)
        cdef _Line line
        if found is NULL:
            return -1
        for method, line in <list>found:
            if method == request.method and line.fits(request):
                # What looked like a bucket, in the host too, is part of the operation's own address.
                request.bucket = ""
                request.key = EMPTY
                request.virtual_host = False
                return line.operation
        return -1

    cdef bytes _read_query(self, Request request, int target):
        """Fill in ``params``; return the name of the entry that the query selects, b"" for none.

        Pairs are separated by ``&``; a key without ``=`` has the value b"". Both are percent-decoded, ``+`` to a space,
        as S3 and the form encoding do. Of a key that comes twice the first value counts.
        """
        cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(request.query)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(request.query)
        cdef const uint8_t *end = data + size
        cdef const uint8_t *stop
        cdef const uint8_t *equals = NULL
        cdef int escaped = 0
        cdef Py_ssize_t value_size
        cdef list params = request.params
        cdef bint reads = request.method == GET or request.method == HEAD
        cdef dict selectors = <dict>(self.selectors if reads else self.write_selectors)[target]
        cdef PyObject *found
        cdef _Selector selector
        cdef bytes name, value
        cdef bytes strong = EMPTY
        cdef bytes weak = EMPTY
        while data < end:
            stop = s3d_query_pair(data, end, &equals, &escaped)
            if stop > data:
                # A pair without "=" ends at `equals`.
                value_size = stop - equals - 1 if stop > equals else 0
                if escaped:
                    name = percent_decode(data, equals - data, True)
                    value = percent_decode(equals + 1, value_size, True) if value_size else EMPTY
                else:
                    name = PyBytes_FromStringAndSize(<const char *>data, equals - data)
                    value = PyBytes_FromStringAndSize(<const char *>equals + 1, value_size) if value_size else EMPTY
                found = PyDict_GetItem(selectors, name)
                if found is not NULL:
                    selector = <_Selector>found
                    if selector.strong:
                        if strong is not EMPTY and strong != name:
                            # Which one the remote would take is its own affair; a request that was authorized as one
                            # operation must not be able to become another there.
                            raise Fault(
                                FaultCode.INVALID_ARGUMENT,
                                f"Conflicting query string parameters: {strong.decode()}, {name.decode()}",
                            )
                        strong = selector.name
                    elif weak is EMPTY and value in selector.values and request.param(name) is None:
                        weak = selector.values[value]
                params.append((name, value))
            data = stop + 1
        return strong if strong is not EMPTY else weak


# Which buckets are let through is deliberately wide: whether one exists, the remote knows. Kept out are the empty name,
# names that begin with a dot (as ".." does) or an underscore (s3d's own paths), and every byte that no store allows.
cdef bint is_bucket(const uint8_t *data, Py_ssize_t size) noexcept:
    return 0 < size <= MAX_BUCKET_BYTES and data[0] != c"." and data[0] != c"_" and s3d_bucket_bytes(data, size)


cdef str path_bucket(const uint8_t *data, Py_ssize_t size):
    """The bucket that a path's first segment names, percent-encoded or not; the ARN of an access point has slashes."""
    if is_bucket(data, size):
        return PyUnicode_DecodeASCII(<const char *>data, size, NULL)
    cdef bytes name = percent_decode(data, size, False)
    cdef bytes plain = name.replace(b"/", b":") if name.startswith(b"arn:") else name
    if not is_bucket(<const uint8_t *>PyBytes_AS_STRING(plain), PyBytes_GET_SIZE(plain)):
        raise Fault(FaultCode.INVALID_BUCKET_NAME, "The specified bucket is not valid.")
    return PyUnicode_DecodeASCII(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), NULL)


cdef str virtual_bucket(const uint8_t *data, Py_ssize_t size):
    """The bucket that ``size`` bytes of a host name, in any letter case, stand for."""
    cdef uint8_t[255] lower
    cdef Py_ssize_t index
    if not is_bucket(data, size):
        raise Fault(FaultCode.INVALID_BUCKET_NAME, "The specified bucket is not valid.")
    for index in range(size):  # is_bucket has bounded size by MAX_BUCKET_BYTES
        lower[index] = s3d_lower(data[index])
    return PyUnicode_DecodeASCII(<const char *>lower, size, NULL)


cdef bytes domain_name(str domain):
    """``domain`` as the router compares it: lower case, without a final dot; ValueError if it is no host name."""
    cdef bytes name = domain.lower().removesuffix(".").encode()
    labels = name.split(b".")
    if not all(labels) or name.strip(b"abcdefghijklmnopqrstuvwxyz0123456789-_.") or labels[-1].isdigit():
        raise ValueError(f"{domain!r} is not a domain name")
    return name
