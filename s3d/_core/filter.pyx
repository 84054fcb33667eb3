"""The filter evaluator's Python edge: programs that are made once, and subjects that are filled again and again.

A program comes from `s3d.filters.compile` as tables of numbers, and is checked here before it may run: the evaluator
(native_filter.h) trusts every index in it.
"""

from cython cimport final

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy
from posix.time cimport CLOCK_REALTIME, CLOCK_THREAD_CPUTIME_ID, clock_gettime, timespec

# The numbers that programs and decisions are written in.
MAX_PREFIX = S3D_MAX_PREFIX
GLOB_TEXT, GLOB_BYTES, GLOB_ONE, GLOB_ANY = S3D_GLOB_TEXT, S3D_GLOB_BYTES, S3D_GLOB_ONE, S3D_GLOB_ANY
NO_AMOUNT, NUMBER, SIZE, DURATION, DATE = S3D_NO_AMOUNT, S3D_NUMBER, S3D_SIZE, S3D_DURATION, S3D_DATE
BUCKET_TAGS, OBJECT_TAGS, METADATA = 1 << S3D_BUCKET_TAGS, 1 << S3D_OBJECT_TAGS, 1 << S3D_METADATA
BUCKET_TAG, OBJECT_TAG, HEADER = S3D_BUCKET_TAG, S3D_OBJECT_TAG, S3D_HEADER
CONTENT_LENGTH_HEADER, LAST_MODIFIED_HEADER = S3D_CONTENT_LENGTH_HEADER, S3D_LAST_MODIFIED_HEADER
OBJECT_SIZE, AGE, OPERATION, USER = S3D_OBJECT_SIZE, S3D_AGE, S3D_OPERATION, S3D_USER
PRESENT, EQUAL, NOT_EQUAL = S3D_PRESENT, S3D_EQUAL, S3D_NOT_EQUAL
LESS, AT_MOST, MORE, AT_LEAST = S3D_LESS, S3D_AT_MOST, S3D_MORE, S3D_AT_LEAST
QUEUE, CACHE, SYNC = S3D_QUEUE, S3D_CACHE, S3D_SYNC
INCLUDED, PINNED, IMMUTABLE = S3D_INCLUDED, S3D_PINNED, S3D_IMMUTABLE
BY_TAG, BY_SETTING = S3D_BY_TAG, S3D_BY_SETTING
NEEDS_SHIFT, CLAUSE_SHIFT = S3D_NEEDS_SHIFT, S3D_CLAUSE_SHIFT


def read_amount(const uint8_t[::1] text not None):
    """What ``text`` says if it is a number, a size, a duration or a date: ``(kind, nanos)``, else None.

    ``kind`` is NUMBER, SIZE, DURATION or DATE; ``nanos`` counts 10^-9 of one, of a byte, of a second, of a second since
    1970. Forms and sources stand in native_amount.h.
    """
    cdef s3d_amount amount
    cdef uint8_t none = 0
    cdef int kind = s3d_read_amount(&text[0] if text.shape[0] else &none, text.shape[0], &amount)
    if kind == S3D_NO_AMOUNT:
        return None
    return kind, int.from_bytes((<char *>&amount)[:sizeof(amount)], "little", signed=True)


@final
cdef class Subject:
    """One object as a filter sees it. Made once and refilled: nothing is allocated for an object like the last.

    `refill` names the object and forgets all else; then everything that is known is set, each group as a whole. What is
    not set is *not loaded*, and a decision that depends on it says so; what is set to None is *unknowable*. Sequences
    of pairs are held until they are replaced (a list is copied). For one thread at a time.
    """

    def __cinit__(self):
        self.path_capacity = 2048
        self.path = <uint8_t *>malloc(self.path_capacity)
        if self.path is NULL:
            raise MemoryError()
        self.path[0] = c"/"
        self.about.path = self.path
        self.about.path_size = 1
        self.about.size_bytes = -1
        for group in range(S3D_GROUPS):
            self.about.states[group] = S3D_NOT_LOADED

    def __dealloc__(self):
        free(self.path)
        free(self.bucket_tags.data)
        free(self.object_tags.data)
        free(self.headers.data)

    def refill(self, bucket, key, *, operation=None, user=None, int64_t now_ms=-1):
        """The object ``bucket``/``key`` from now on, of which nothing else is known.

        ``bucket`` and ``key`` are str or bytes. ``operation`` is S3's name for what is done to it, ``user`` whose
        access key asks; None: there is none. ``now_ms`` is the time since 1970 that ages count to, by default the
        system's.
        """
        cdef const uint8_t *bucket_data
        cdef const uint8_t *key_data
        cdef Py_ssize_t bucket_size, key_size, size
        cdef uint8_t *path
        # The bytes of a text that has to be encoded must live until they are copied.
        bucket = octets_of(bucket, &bucket_data, &bucket_size)
        key = octets_of(key, &key_data, &key_size)
        size = bucket_size + 1 + key_size
        if size > self.path_capacity:
            path = <uint8_t *>realloc(self.path, size)
            if path is NULL:
                raise MemoryError()
            self.path = path
            self.path_capacity = size
            self.about.path = path
        memcpy(self.path, bucket_data, bucket_size)
        self.path[bucket_size] = c"/"
        memcpy(self.path + bucket_size + 1, key_data, key_size)
        self.about.path_size = size
        self.about.bucket_size = bucket_size
        for group in range(S3D_GROUPS):
            self.about.states[group] = S3D_NOT_LOADED
        self.about.operation = self.about.user = NULL
        if operation is not None:
            self.held_operation = octets_of(operation, &self.about.operation, &size)
            self.about.operation_size = size
        if user is not None:
            self.held_user = octets_of(user, &self.about.user, &size)
            self.about.user_size = size
        self.about.now_ms = now_ms

    def set_bucket_tags(self, tags, /):
        """The bucket's tags, pairs of name and value; None when the remote does not let us read them."""
        self.about.states[S3D_BUCKET_TAGS] = S3D_NOT_LOADED  # if what follows raises
        if tags is None:
            self.about.states[S3D_BUCKET_TAGS] = S3D_UNKNOWABLE
            return
        self.held_bucket_tags = hold(&self.bucket_tags, tags)
        self.about.bucket_tags = self.bucket_tags.data
        self.about.bucket_tag_count = len(self.held_bucket_tags[0])
        self.about.states[S3D_BUCKET_TAGS] = S3D_KNOWN

    def set_object_tags(self, tags, /):
        """The object's tags, pairs of name and value; None when the remote does not let us read them."""
        self.about.states[S3D_OBJECT_TAGS] = S3D_NOT_LOADED  # if what follows raises
        if tags is None:
            self.about.states[S3D_OBJECT_TAGS] = S3D_UNKNOWABLE
            return
        self.held_object_tags = hold(&self.object_tags, tags)
        self.about.object_tags = self.object_tags.data
        self.about.object_tag_count = len(self.held_object_tags[0])
        self.about.states[S3D_OBJECT_TAGS] = S3D_KNOWN

    def set_metadata(self, headers, *, size_bytes=None, modified_ms=None):
        """The object's headers (x-amz-meta- ones among them), its size, and when it was last modified, since 1970.

        Of headers with one name the first counts. ``size_bytes`` None: nobody knows, which leaves a Content-Length
        among the headers. ``modified_ms`` None: it is being written now. ``headers`` None: none of this is to be had.
        """
        cdef timespec now
        self.about.states[S3D_METADATA] = S3D_NOT_LOADED  # if what follows raises
        if headers is None:
            self.about.states[S3D_METADATA] = S3D_UNKNOWABLE
            return
        if self.about.now_ms < 0:
            # Only now, since ages are metadata: most decisions never ask what time it is.
            clock_gettime(CLOCK_REALTIME, &now)
            self.about.now_ms = <int64_t>now.tv_sec * 1000 + now.tv_nsec // 1000000
        self.about.size_bytes = -1 if size_bytes is None else size_bytes
        self.about.modified_ms = self.about.now_ms if modified_ms is None else modified_ms
        self.held_headers = hold(&self.headers, headers)
        self.about.headers = self.headers.data
        self.about.header_count = len(self.held_headers[0])
        self.about.states[S3D_METADATA] = S3D_KNOWN


cdef object octets_of(object text, const uint8_t **data, Py_ssize_t *size):
    """Where the bytes of ``text`` are, and how many; what is returned keeps them there."""
    if type(text) is str:
        try:
            data[0] = <const uint8_t *>PyUnicode_AsUTF8AndSize(text, size)
            return text
        except UnicodeEncodeError:
            # The bytes that Python could not decode, as they were.
            text = text.encode("utf-8", "surrogateescape" if is_escaped(text) else "surrogatepass")
    if type(text) is not bytes:
        raise TypeError(f"str or bytes wanted, not {type(text).__name__}")
    data[0] = <const uint8_t *>PyBytes_AS_STRING(text)
    size[0] = PyBytes_GET_SIZE(text)
    return text


cdef bint is_escaped(str text):
    return all(not 0xD800 <= ord(character) <= 0xDFFF or 0xDC80 <= ord(character) <= 0xDCFF for character in text)


cdef tuple hold(Fields *fields, object pairs):
    """Point ``fields`` at the pairs; what is returned keeps them, and has the pairs first."""
    cdef tuple items = tuple(pairs)
    cdef tuple pair
    cdef Py_ssize_t count = len(items)
    cdef Py_ssize_t size
    cdef Py_ssize_t index
    cdef s3d_field *data
    cdef list encoded = None
    if count > fields.capacity:
        data = <s3d_field *>realloc(fields.data, 2 * count * sizeof(s3d_field))
        if data is NULL:
            raise MemoryError()
        fields.data = data
        fields.capacity = 2 * count
    for index in range(count):
        pair = items[index]
        if len(pair) != 2:
            raise ValueError("a pair has a name and a value")
        for place in range(2):
            text = pair[place]
            kept = octets_of(text, &fields.data[index].value if place else &fields.data[index].name, &size)
            if size > 0x7fffffff:
                raise ValueError("a name or value of 2 GiB")
            if place:
                fields.data[index].value_size = <uint32_t>size
            else:
                fields.data[index].name_size = <uint32_t>size
            if kept is not text:
                if encoded is None:
                    encoded = []
                encoded.append(kept)
    return items, encoded


cdef void *table(Py_ssize_t count, size_t size) except NULL:
    """Room for ``count`` rows, zeroed, and never none at all."""
    cdef void *rows = calloc(max(count, 1), size)
    if rows is NULL:
        raise MemoryError()
    return rows


cdef int within(Py_ssize_t first, Py_ssize_t count, Py_ssize_t length, str what) except -1:
    if first < 0 or count < 0 or first + count > length:
        raise ValueError(f"{what} {first} to {first + count} of {length}")
    return 0


@final
cdef class Program:
    """A compiled list of clauses; immutable. `s3d.filters.compile` makes it, and says what the tables mean.

    ``text`` holds literals, names and labels. Rows: ``ops`` (offset, size, kind), ``conditions`` (attribute, operator,
    name, name_size, first_op, op_count, kind, nanos), ``clauses`` (excludes, bucket_size, prefix_size, bucket_op,
    count, key_op, count, condition, count), ``nodes`` (label, size, child, count, entry, count), and ``entries``,
    numbers of clauses. Raises ValueError for tables that the evaluator could not trust.

    ``unknown`` counts the decisions that S3D_FILTER_UNKNOWN made.
    """

    def __cinit__(self, bytes text not None, ops, conditions, clauses, nodes, entries, *, int purpose,
                  bint included_by_default, bint included_if_unknowable):
        if not 0 <= purpose < S3D_PURPOSES:
            raise ValueError(f"no purpose {purpose}")
        self.program.purpose = purpose
        self.program.included_by_default = included_by_default
        self.program.included_if_unknowable = included_if_unknowable
        self._take_bytes(text)
        self._take_ops(ops, len(text))
        self._take_conditions(conditions, len(text), len(ops))
        self._take_clauses(clauses, len(ops), len(conditions))
        self._take_tree(nodes, entries, text, len(clauses))

    def __dealloc__(self):
        free(<void *>self.program.bytes)
        free(<void *>self.program.ops)
        free(<void *>self.program.conditions)
        free(<void *>self.program.clauses)
        free(<void *>self.program.nodes)
        free(<void *>self.program.first_bytes)
        free(<void *>self.program.entries)

    cdef int _take_bytes(self, bytes text) except -1:
        cdef uint8_t *data = <uint8_t *>table(len(text), 1)
        memcpy(data, PyBytes_AS_STRING(text), len(text))
        self.program.bytes = data
        return 0

    cdef int _take_ops(self, ops, Py_ssize_t text_size) except -1:
        cdef s3d_glob_op *rows = <s3d_glob_op *>table(len(ops), sizeof(s3d_glob_op))
        self.program.ops = rows
        for index, (offset, size, kind) in enumerate(ops):
            if kind in (S3D_GLOB_TEXT, S3D_GLOB_BYTES):
                within(offset, size, text_size, "literal")
                if not 0 < size <= 0xffff:
                    raise ValueError(f"a literal of {size} bytes")
            elif kind not in (S3D_GLOB_ONE, S3D_GLOB_ANY) or size:
                raise ValueError(f"no glob operation {kind}")
            rows[index].offset = offset
            rows[index].size = size
            rows[index].kind = kind
        return 0

    cdef int _take_conditions(self, conditions, Py_ssize_t text_size, Py_ssize_t op_count) except -1:
        cdef s3d_condition *rows = <s3d_condition *>table(len(conditions), sizeof(s3d_condition))
        cdef bytes packed
        self.program.conditions = rows
        for index, (attribute, operator, name, name_size, first_op, ops, kind, nanos) in enumerate(conditions):
            if not 0 <= attribute < S3D_ATTRIBUTES or not 0 <= operator < S3D_OPERATORS:
                raise ValueError(f"no attribute {attribute} or operator {operator}")
            if not S3D_NO_AMOUNT <= kind <= S3D_DATE:
                raise ValueError(f"no kind of amount {kind}")
            if kind == S3D_NO_AMOUNT and (operator > S3D_NOT_EQUAL or
                                          operator != S3D_PRESENT and attribute in (S3D_OBJECT_SIZE, S3D_AGE)):
                raise ValueError("a comparison of amounts without one")
            within(name, name_size, text_size, "name")
            within(first_op, ops, op_count, "operations")
            rows[index].attribute = attribute
            rows[index].operator_ = operator
            rows[index].name = name
            rows[index].name_size = name_size
            rows[index].first_op = first_op
            rows[index].op_count = ops
            rows[index].kind = kind
            packed = nanos.to_bytes(sizeof(s3d_amount), "little", signed=True)
            memcpy(&rows[index].amount, PyBytes_AS_STRING(packed), sizeof(s3d_amount))
        return 0

    cdef int _take_clauses(self, clauses, Py_ssize_t op_count, Py_ssize_t condition_count) except -1:
        cdef s3d_clause *rows = <s3d_clause *>table(len(clauses), sizeof(s3d_clause))
        self.program.clauses = rows
        if len(clauses) >= 1 << 24:
            raise ValueError(f"{len(clauses)} clauses")  # their numbers share 32 bits with a decision's flags
        self.program.clause_count = len(clauses)
        for index, (excludes, bucket_size, prefix_size, bucket_op, bucket_ops, key_op, key_ops, condition,
                    conditions) in enumerate(clauses):
            within(bucket_op, bucket_ops, op_count, "operations")
            within(key_op, key_ops, op_count, "operations")
            within(condition, conditions, condition_count, "conditions")
            if not 0 <= prefix_size <= S3D_MAX_PREFIX or not -1 <= bucket_size < max(prefix_size, 1):
                raise ValueError(f"a prefix of {prefix_size} bytes with a bucket of {bucket_size}")
            rows[index].excludes = bool(excludes)
            rows[index].bucket_size = bucket_size
            rows[index].prefix_size = prefix_size
            rows[index].bucket_op = bucket_op
            rows[index].bucket_op_count = bucket_ops
            rows[index].key_op = key_op
            rows[index].key_op_count = key_ops
            rows[index].condition = condition
            rows[index].condition_count = conditions
        return 0

    cdef int _take_tree(self, nodes, entries, bytes text, Py_ssize_t clause_count) except -1:
        cdef s3d_node *rows = <s3d_node *>table(len(nodes), sizeof(s3d_node))
        cdef uint8_t *first_bytes
        cdef uint32_t *numbers
        self.program.nodes = rows
        self.nodes = len(nodes)
        first_bytes = <uint8_t *>table(len(nodes), 1)
        self.program.first_bytes = first_bytes
        numbers = <uint32_t *>table(len(entries), sizeof(uint32_t))
        self.program.entries = numbers
        # How many bytes lie on the way to the end of each node; -1: no parent has been seen.
        ends = [-1] * len(nodes)
        if not nodes or nodes[0][1]:
            raise ValueError("a tree begins with a root, which has no label")
        ends[0] = 0
        for index, (label, size, child, count, entry, entry_count) in enumerate(nodes):
            within(label, size, len(text), "label")
            within(child, count, len(nodes), "nodes")
            within(entry, entry_count, len(entries), "entries")
            if index and (ends[index] < 0 or size == 0):
                raise ValueError(f"node {index} has no parent before it, or no label")
            if count and child <= index:
                raise ValueError(f"node {index} comes after its children")
            ends[index] += size
            if ends[index] > S3D_MAX_PREFIX:
                raise ValueError(f"a prefix of {ends[index]} bytes")
            for each in range(child, child + count):
                if ends[each] >= 0:
                    raise ValueError(f"node {each} has two parents")
                ends[each] = ends[index]
            for each in range(entry, entry + entry_count):
                if not 0 <= entries[each] < clause_count:
                    raise ValueError(f"no clause {entries[each]}")
                if self.program.clauses[<Py_ssize_t>entries[each]].prefix_size != ends[index]:
                    raise ValueError(f"clause {entries[each]} does not end at node {index}")
                numbers[each] = entries[each]
            rows[index].label = label
            rows[index].label_size = size
            rows[index].child = child
            rows[index].child_count = count
            rows[index].entry = entry
            rows[index].entry_count = entry_count
            if index:
                first_bytes[index] = text[label]
        return 0

    def decide(self, Subject subject not None, /):
        """The decision about ``subject``, as bits: INCLUDED, PINNED, IMMUTABLE, BY_TAG, BY_SETTING.

        Instead of these, ``needs << NEEDS_SHIFT``: BUCKET_TAGS, OBJECT_TAGS and METADATA that have to be set first.
        ``>> CLAUSE_SHIFT`` is the number of the clause that decided, from 1, and 0 when none did.
        """
        return self.verdict(subject)

    cdef uint32_t verdict(self, Subject subject) noexcept:
        cdef uint32_t decision = s3d_decide(&self.program, &subject.about)
        if decision & S3D_BY_SETTING:
            self.unknown += 1
        return decision

    def measure(self, list subjects not None, int rounds, /):
        """Decide about all ``subjects``, ``rounds`` times: ``(nanoseconds of CPU time, how many were included)``.

        The loop runs without the GIL; nobody may refill the subjects meanwhile.
        """
        cdef Py_ssize_t count = len(subjects)
        cdef Py_ssize_t index
        cdef int _turn
        cdef long long included = 0
        cdef timespec start, end
        cdef const s3d_subject **about = <const s3d_subject **>table(count, sizeof(void *))
        try:
            for index in range(count):
                about[index] = &(<Subject?>subjects[index]).about
            with nogil:
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start)
                for _turn in range(rounds):
                    for index in range(count):
                        included += s3d_decide(&self.program, about[index]) & S3D_INCLUDED
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end)
        finally:
            free(about)
        return (end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec, included
