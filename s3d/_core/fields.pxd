"""Header fields as both parsers see them."""


cdef inline bytes trimmed(bytes value):
    """``value`` without outer white space, which llhttp leaves at the end (RFC 9110 §5.5)."""
    cdef Py_ssize_t size = len(value)
    cdef const char *text = value
    if size and (text[0] == 32 or text[0] == 9 or text[size - 1] == 32 or text[size - 1] == 9):
        return value.strip(b" \t")
    return value


cdef inline bint may_be_hop_by_hop(bytes name):
    """Whether ``name``, in any case, has the first letter of a field that belongs to the connection.

    Those are Connection, Content-Length, Keep-Alive, Proxy-…, TE, Trailer, Transfer-Encoding and Upgrade; most fields
    of an answer are not looked at any closer.
    """
    cdef const char *text = name
    cdef char first = text[0] | 0x20
    return first == c"c" or first == c"k" or first == c"p" or first == c"t" or first == c"u"


cdef inline list without_named(list headers, bytes names):
    """``headers`` without those that the Connection header, lower case, names as belonging to the connection."""
    if names is None or names == b"close" or names == b"keep-alive":
        return headers
    left_out = {token.strip() for token in names.split(b",")}
    return [pair for pair in headers if pair[0].lower() not in left_out]
