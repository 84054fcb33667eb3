"""Percent-decoding of request targets, and the percent-encoding that signatures and keys need.

Sources: RFC 3986 §2.1 for the escapes; "Signature Calculations for the Authorization Header" in the Amazon S3 API
reference (``UriEncode``) for which bytes are escaped and how.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.ref cimport PyObject, Py_XDECREF
from libc.stdint cimport uint8_t
from libc.string cimport memchr

from s3d._core.fault cimport Fault, FaultCode


cdef extern from "Python.h":
    # Shrinks in place; on failure it has released the object, set *value to NULL and raised.
    int _PyBytes_Resize(PyObject **value, Py_ssize_t size) except -1
    PyObject *_new_bytes "PyBytes_FromStringAndSize"(const char *data, Py_ssize_t size) except NULL


cdef bytes percent_decode(const uint8_t *data, Py_ssize_t size, bint plus_is_space):
    """Decode each escape once, ``+`` to a space only if asked; Fault INVALID_URI on a malformed escape."""
    cdef PyObject *decoded
    cdef Py_ssize_t written
    if size == 0:
        return b""
    if memchr(data, c"%", size) is NULL and not (plus_is_space and memchr(data, c"+", size) is not NULL):
        return PyBytes_FromStringAndSize(<const char *>data, size)
    # Nobody else has seen the new object yet, so it may be written to and shrunk; a raw pointer, because
    # _PyBytes_Resize insists on a single reference.
    decoded = _new_bytes(NULL, size)
    written = s3d_percent_decode(data, size, <uint8_t *>PyBytes_AS_STRING(<object>decoded), plus_is_space)
    if written < 0:
        Py_XDECREF(decoded)
        raise Fault(FaultCode.INVALID_URI, f"Couldn't parse the specified URI: malformed escape at {-1 - written}.")
    if written != size:
        _PyBytes_Resize(&decoded, written)
    result = <bytes>decoded  # takes a reference of its own
    Py_XDECREF(decoded)
    return result


cdef bytes percent_encode(const uint8_t *data, Py_ssize_t size, bint keep_slash):
    """Escape everything but A-Z a-z 0-9 - . _ ~, and ``/`` unless ``keep_slash``, with upper-case digits."""
    cdef Py_ssize_t encoded_size = s3d_percent_encoded_size(data, size, keep_slash)
    if encoded_size == size:
        return PyBytes_FromStringAndSize(<const char *>data, size)
    cdef bytes encoded = PyBytes_FromStringAndSize(NULL, encoded_size)
    s3d_percent_encode(data, size, <uint8_t *>PyBytes_AS_STRING(encoded), keep_slash)
    return encoded


def decode(const uint8_t[::1] data not None, bint plus_is_space=False) -> bytes:
    """``data`` with each percent escape replaced by its byte, once.

    ``plus_is_space`` also turns ``+`` into a space, as in query strings. Raises `Fault` INVALID_URI when ``%`` is
    not followed by two hexadecimal digits (RFC 3986 §2.1).
    """
    return percent_decode(&data[0] if data.shape[0] else NULL, data.shape[0], plus_is_space)


def encode(const uint8_t[::1] data not None, bint keep_slash=False) -> bytes:
    """``data`` with every byte escaped but ``A-Z a-z 0-9 - . _ ~``, and ``/`` where ``keep_slash`` is true.

    The form that signatures are made over (``UriEncode`` of AWS Signature Version 4).
    """
    return percent_encode(&data[0] if data.shape[0] else NULL, data.shape[0], keep_slash)
