"""GetObject as most clients ask most of the time: a whole object, without conditions, that is in memory.

Its response is a head that was made once for each object, the request's id, and bytes that are there; anything else
goes the long way through `s3d.gateway`.
"""

from cython cimport final

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.ref cimport PyObject
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.string cimport memcmp, memcpy

from s3d._core.request cimport Request
from s3d._core.response cimport Response
from s3d._core.sigv4 cimport SigningContext
from s3d._core.stage cimport Stage

cdef enum:
    PLAIN = 0                # nothing that changes the answer
    WITH_CHECKSUM = 1        # x-amz-checksum-mode: ENABLED, which today's SDKs send with every GetObject
    OTHER = 2                # conditions, ranges, and whatever else only the long way knows

cdef bytes EMPTY_SHA256 = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


cdef bint is_name(bytes name, const char *wanted, Py_ssize_t size) noexcept:
    return PyBytes_GET_SIZE(name) == size and memcmp(PyBytes_AS_STRING(name), wanted, size) == 0


cdef int kind_of(list headers) except -1:
    """What the headers ask for. Of x-amz- headers only those that say who asks are known to change nothing."""
    cdef tuple pair
    cdef bytes name, value
    cdef const char *data
    cdef Py_ssize_t size
    cdef int kind = PLAIN
    for pair in headers:
        name = <bytes>pair[0]
        data = PyBytes_AS_STRING(name)
        size = PyBytes_GET_SIZE(name)
        if size < 5:
            continue
        if data[0] == c"i":
            if memcmp(data, b"if-", 3) == 0:
                return OTHER
        elif data[0] == c"r":
            if is_name(name, b"range", 5):
                return OTHER
        elif data[0] == c"x" and memcmp(data, b"x-amz", 5) == 0:
            if is_name(name, b"x-amz-date", 10) or is_name(name, b"x-amz-content-sha256", 20):
                continue
            if is_name(name, b"x-amz-user-agent", 16) or is_name(name, b"x-amz-security-token", 20):
                continue
            value = <bytes>pair[1]
            if is_name(name, b"x-amz-checksum-mode", 19) and is_name(value, b"ENABLED", 7) and kind == PLAIN:
                kind = WITH_CHECKSUM
            else:
                return OTHER
    return kind


@final
cdef class Entry:
    """One object in memory. Immutable but for ``memo`` and ``seen``.

    ``body`` is the inline body, checked, or None where the bytes lie in data files; ``memo`` is whatever the caller
    wants to keep beside the object, such as the finished head of its response: at most some hundred bytes. It goes
    with the entry, so it never outlives the generation. ``seen`` says that it was used, ``size_bytes`` what it counts
    against the memory's bound.
    """
    cdef readonly object generation
    cdef readonly bytes body
    cdef public object memo
    cdef public bint seen
    cdef readonly Py_ssize_t size_bytes

    def __init__(self, generation, bytes body, Py_ssize_t size_bytes):
        self.generation = generation
        self.body = body
        self.size_bytes = size_bytes


cdef Entry entry_of(object entries, str bucket, bytes key):
    """What ``entries`` have under the bucket's name, NUL and the key; None if nothing."""
    cdef Py_ssize_t size = 0
    cdef const char *name = PyUnicode_AsUTF8AndSize(bucket, &size)
    cdef bytes row_key = PyBytes_FromStringAndSize(NULL, size + 1 + PyBytes_GET_SIZE(key))
    cdef char *out = PyBytes_AS_STRING(row_key)  # nobody else has seen it yet
    cdef PyObject *found
    if not isinstance(entries, dict):
        raise TypeError("entries are a dictionary")
    memcpy(out, name, size + 1)  # its NUL with it
    memcpy(out + size + 1, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
    found = PyDict_GetItem(entries, row_key)
    return None if found is NULL else <Entry>found


@final
cdef class WholeObjects:
    """Answers GetObject from memory where it can.

    ``source.entries``, a dictionary, are the objects in memory at the moment, each an `Entry` under the bucket's name,
    NUL and the key; others are brought by ``cached(bucket, key)``, which returns None if there is no such object. An
    entry's ``memo`` becomes what ``heads(generation)`` makes: the header lines of an answer, and the same with the
    object's checksum. ``body(generation)`` brings a body that does not lie in the entry; ``read(request, context)``
    answers everything else, ``check(context)`` raises for a request that is signed for a body.
    """
    cdef object _source, _cached, _heads, _body, _read, _check

    def __init__(self, source, *, cached, heads, body, read, check):
        self._source = source
        self._cached = cached
        self._heads = heads
        self._body = body
        self._read = read
        self._check = check

    def __call__(self, Request request not None, SigningContext context):
        """The response; raises as ``read`` and ``check`` do."""
        cdef Response response
        cdef Entry entry
        cdef bytes head, raw
        cdef const char *request_id
        cdef char *out
        cdef Py_ssize_t head_size, id_size = 0
        cdef int kind = OTHER
        if PyBytes_GET_SIZE(request.query) == 0 and request.content_length == 0:
            kind = kind_of(request.headers)
        if kind == OTHER:
            return self._read(request, context)
        entry = entry_of(self._source.entries, request.bucket, request.key)
        if entry is None:
            entry = self._cached(request.bucket, request.key)
            if entry is None:
                return self._read(request, context)
        entry.seen = True
        if context is not None and context.payload_hash != EMPTY_SHA256:
            self._check(context)
        memo = entry.memo
        if memo is None:
            memo = entry.memo = self._heads(entry.generation)
        head = <bytes?>(<tuple?>memo)[kind]
        body = entry.body
        if body is None:
            body = self._body(entry.generation)
        head_size = PyBytes_GET_SIZE(head)
        request_id = PyUnicode_AsUTF8AndSize(request.request_id, &id_size)
        raw = PyBytes_FromStringAndSize(NULL, head_size + 18 + id_size + 2)
        out = PyBytes_AS_STRING(raw)  # nobody else has seen it yet
        memcpy(out, PyBytes_AS_STRING(head), head_size)
        memcpy(out + head_size, b"x-amz-request-id: ", 18)
        memcpy(out + head_size + 18, request_id, id_size)
        memcpy(out + head_size + 18 + id_size, b"\r\n", 2)
        response = Response.__new__(Response)
        response.status = 200
        response.raw = raw
        if type(body) is bytes:
            response.content_length = PyBytes_GET_SIZE(<bytes>body)
        else:
            body = <Stage?>body
            response.content_length = entry.generation.size_bytes
        response.body = body
        return response
