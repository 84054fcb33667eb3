"""Random filters and objects, of few words, so that they meet."""

from __future__ import annotations

from hypothesis import strategies as st

from s3d._core import filter as core
from s3d._core.filter import Subject
from s3d.filters.grammar import NAMED, ORDERINGS, Amount, Clause, Condition, FileList, Glob, Wild
from unit.filters.reference import BUCKET_TAGS, GROUPS, KNOWN, METADATA, NOT_LOADED, OBJECT_TAGS, UNKNOWABLE, Object

# Characters of one to four bytes, pieces of them, and what means something in a filter.
LITERALS = st.lists(
    st.sampled_from([b"a", b"b", b"ab", "é".encode(), "€".encode(), "𝄞".encode(), b"\xc3", b"\xa9", b"\xe2\x82",
                     b"\x82", b"\xac", b"/", b"*", b"?", b"\\", b"'", b'"', b" ", b",", b"[", b"]", b"#", b"!", b"@",
                     b"\n", b"=", b"\x00", b"<", b"s3:"]),
    min_size=1, max_size=3,
).map(b"".join)  # fmt: skip
WORDS = st.sampled_from([b"a", b"b", b"ab", b"a/b", "é".encode(), b"\xc3", b"aab"])
AMOUNTS = st.sampled_from([
    b"0", b"1", b"10", b"-1", b"1.5", b"10MB", b"1KiB", b"1024", b"10000000", b"1m", b"60", b"1h", b"1.5h", b"90m",
    b"2w",     b"Sun, 06 Nov 1994 08:49:37 GMT", b"1994-11-06", b"1994-11-06T08:49:37Z", b"1994-11-06T09:49:37+01:00",
    b"1994-11-06 08:49", b"999999999999999999", b"1 KB",
])  # fmt: skip
NEAR_AMOUNTS = st.one_of(
    AMOUNTS,
    st.text(alphabet="0159.-:+TZ kKmMiIbBsdhw", max_size=12).map(str.encode),
    st.sampled_from([b"1994-02-30", b"1e3", b"1994-11-06T24:00", b"10 parsecs", b"1PiB", b"99999999999PiB", b"+5",
                     b"-5MB", b"1994-11-06T08:49:60.5-23:59", b"Sun, 31 Feb 1994 08:49:37 GMT", b"0.0000000001", b""]),
)  # fmt: skip
TAG_NAMES = st.sampled_from([b"x", b"y z", b"K:1"])
HEADER_NAMES = st.sampled_from([b"content-type", b"content-length", b"last-modified", b"x-amz-meta-m"])
OPERATIONS = st.sampled_from([b"GetObject", b"PutObject"])


def merged(pieces: list[bytes | Wild]) -> Glob:
    """In the form that the parser makes: no two literals and no two ANY in a row."""
    found: list[bytes | Wild] = []
    for piece in pieces:
        if isinstance(piece, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += piece
        elif not (piece is Wild.ANY and found and found[-1] is Wild.ANY):
            found.append(piece)
    return tuple(found)


def globs(literals: st.SearchStrategy[bytes], min_size: int = 0) -> st.SearchStrategy[Glob]:
    return st.lists(st.one_of(literals, literals, st.sampled_from(Wild)), min_size=min_size, max_size=5).map(merged)


BUCKETS = globs(LITERALS.map(lambda text: text.replace(b"/", b"-")), min_size=1)
KEYS = globs(st.one_of(LITERALS, WORDS))


@st.composite
def conditions(draw: st.DrawFn, on_bucket: bool) -> Condition:
    attribute = "tag" if on_bucket else draw(st.sampled_from(["tag", "hdr", "md", "size", "age", "op", "user"]))
    name = b""
    if attribute in NAMED:
        name = draw({"tag": TAG_NAMES, "hdr": HEADER_NAMES, "md": st.just(b"m")}[attribute])
    operator = draw(st.sampled_from(["", "=", "!=", *ORDERINGS]))
    if attribute == "op" and operator:
        return Condition(attribute, name, draw(st.sampled_from(["=", "!="])), (draw(OPERATIONS),))
    if not operator:
        return Condition(attribute, name)
    if attribute in ("size", "age") or operator in ORDERINGS or draw(st.booleans()):
        literal = draw(AMOUNTS)
        found = core.read_amount(literal)
        assert found is not None
        wanted = {"size": (core.NUMBER, core.SIZE), "age": (core.DURATION,)}.get(attribute)
        if wanted is not None and found[0] not in wanted:
            literal = {"size": b"10MB", "age": b"1h"}[attribute]
            found = core.read_amount(literal)
            assert found is not None
        return Condition(attribute, name, operator, (literal,), Amount(*found))
    return Condition(attribute, name, operator, draw(globs(st.one_of(LITERALS, WORDS, AMOUNTS))))


@st.composite
def clauses(draw: st.DrawFn) -> Clause:
    key = draw(st.one_of(st.none(), KEYS))
    return Clause(
        draw(st.one_of(BUCKETS, st.just((b"a",)), st.just((Wild.ANY,)))),
        tuple(draw(st.lists(conditions(on_bucket=True), max_size=2))),
        key,
        tuple(draw(st.lists(conditions(on_bucket=False), max_size=3))) if key is not None else (),
        draw(st.booleans()),
    )


PATHS = st.lists(LITERALS, min_size=1).map(b"".join).map(lambda path: path.replace(b"\0", b"x"))
FILE_LISTS = st.builds(FileList, PATHS.map(lambda path: path.decode("utf-8", "surrogateescape")))
VALUES = st.one_of(WORDS, NEAR_AMOUNTS, LITERALS)


def pairs(names: st.SearchStrategy[bytes], max_size: int) -> st.SearchStrategy[tuple[tuple[bytes, bytes], ...]]:
    return st.lists(st.tuples(names, VALUES), max_size=max_size).map(tuple)


OBJECTS = st.builds(
    Object,
    bucket=st.one_of(WORDS, LITERALS),
    key=st.lists(st.one_of(LITERALS, WORDS), max_size=4).map(b"".join),
    bucket_tags=pairs(TAG_NAMES, 2),
    tags=pairs(TAG_NAMES, 2),
    headers=pairs(st.sampled_from([b"Content-Type", b"content-type", b"X-Amz-Meta-M", b"Content-Length"]), 3),
    size_bytes=st.one_of(st.none(), st.sampled_from([0, 1, 10, 1024, 10**7, 2**62])),
    modified_ms=st.sampled_from([0, 784111777000, 784111777001, 10**12, -1, 253402300800000]),
    now_ms=st.sampled_from([0, 784111777000, 784111777000 + 3_600_000, 10**12 + 60_000]),
    operation=st.one_of(st.none(), OPERATIONS),
    user=st.one_of(st.none(), WORDS),
    states=st.fixed_dictionaries({group: st.sampled_from([KNOWN, KNOWN, NOT_LOADED, UNKNOWABLE]) for group in GROUPS}),
)


def fill(subject: Subject, thing: Object) -> None:
    """What the object is, as far as its states let it be known."""
    subject.refill(thing.bucket, thing.key, operation=thing.operation, user=thing.user, now_ms=thing.now_ms)
    for group, set_tags, tags in (
        (BUCKET_TAGS, subject.set_bucket_tags, thing.bucket_tags),
        (OBJECT_TAGS, subject.set_object_tags, thing.tags),
    ):
        if thing.states[group] != NOT_LOADED:
            set_tags(tags if thing.states[group] == KNOWN else None)
    if thing.states[METADATA] != NOT_LOADED:
        subject.set_metadata(
            thing.headers if thing.states[METADATA] == KNOWN else None,
            size_bytes=thing.size_bytes,
            modified_ms=thing.modified_ms,
        )
