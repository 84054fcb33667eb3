"""From text to clauses: a scanner that looks at one character at a time, and a function for each rule of the grammar.

The grammar stands in docs/filters.md. Every error names a place, what was expected there, and where a word is close to
a known one, that.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NoReturn

from s3d._core import filter as core
from s3d.filters.errors import FilterError
from s3d.filters.grammar import (
    AGE,
    ATTRIBUTES,
    HEADER,
    KINDS,
    MAX_CLAUSES,
    MAX_CONDITIONS,
    MAX_GLOB_BYTES,
    MAX_TEXT_BYTES,
    METADATA,
    NAMED,
    OPERATION,
    OPERATORS,
    ORDERINGS,
    SIZE,
    TAG,
    Amount,
    Clause,
    Condition,
    FileList,
    Glob,
    Item,
    Span,
    Wild,
)  # fmt: skip

_BLANKS = " \t\r"
_ENDS = ",\n"
_ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t"}
_HEX = re.compile(r"[0-9A-Fa-f]{2}")
_ATTRIBUTE = re.compile(r"[^\W\d]\w*")
_FULL_NAMES = {
    "tags": TAG, "header": HEADER, "headers": HEADER, "metadata": METADATA, "meta": METADATA, "operation": OPERATION,
    "action": OPERATION, "length": SIZE, "bytes": SIZE, "mtime": AGE, "modified": AGE, "username": "user",
}  # fmt: skip


def parse(text: str, source: str = "", *, in_file: bool = False) -> tuple[Item, ...]:
    """The items of a list, in order; `FilterError` for the first thing that is wrong.

    ``text`` may hold bytes that are no UTF-8 as lone surrogates (PEP 383), as the environment brings them. ``source``
    names it in errors. ``in_file``: it is the content of an ``@file``, which may name no further one.
    """
    return _Parser(text, source, in_file).items()


class _Parser:
    def __init__(self, text: str, source: str, in_file: bool) -> None:
        self._text = text
        self._source = source
        self._in_file = in_file
        self._at = 0
        size_bytes = len(text.encode("utf-8", "surrogatepass"))
        if size_bytes > MAX_TEXT_BYTES:
            raise FilterError(f"a filter of {size_bytes:,} bytes; at most {MAX_TEXT_BYTES:,} are read", source=source)

    # What stands next.

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip_blanks(self) -> None:
        while self._peek() and self._peek() in _BLANKS:
            self._at += 1

    def _fail(self, message: str, start: int | None = None, end: int | None = None) -> NoReturn:
        first = self._at if start is None else start
        raise FilterError(
            message, source=self._source, text=self._text, span=Span(first, first + 1 if end is None else end)
        )

    # list = { blank | "," | newline | comment | item }

    def items(self) -> tuple[Item, ...]:
        found: list[Item] = []
        clauses = 0
        while True:
            self._skip_blanks()
            character = self._peek()
            if not character:
                return tuple(found)
            if character in _ENDS:
                self._at += 1
            elif character == "#":
                self._skip_comment()
            else:
                if clauses == MAX_CLAUSES:
                    self._fail(f"more than {MAX_CLAUSES:,} clauses")
                item = self._file_list() if character == "@" else self._clause()
                clauses += 1
                found.append(item)
                self._end_of_item(item)

    def _skip_comment(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def _end_of_item(self, item: Item) -> None:
        after = self._at
        self._skip_blanks()
        character = self._peek()
        if not character or character in _ENDS or (character == "#" and self._at > after):
            return
        if character == "#":
            self._fail("a comment begins after a blank; for the character itself write \\#")
        if self._at > after:
            self._fail(
                "expected a comma or a new line between two items; "
                "a blank within a name is quoted, 'a b', or escaped, a\\ b"
            )
        if character == "]":
            self._fail("a ] that closes nothing; for the character itself write \\]")
        if character == "[" and isinstance(item, FileList):
            self._fail("a list in a file takes no conditions: they stand in its own clauses")
        self._fail("expected a comma, a new line, or the end")

    # file = "@" word

    def _file_list(self) -> FileList:
        start = self._at
        if self._in_file:
            self._fail("a list in a file cannot read another file; name both in the option")
        self._at += 1
        glob = self._word(frozenset(_BLANKS + _ENDS + "#["), wild=False)
        path = b"".join(piece for piece in glob if isinstance(piece, bytes))
        if not path:
            self._fail("expected the path of a file after @", start)
        if b"\0" in path:
            self._fail("a path has no NUL character", start, self._at)
        return FileList(path.decode("utf-8", "surrogateescape"), Span(start, self._at))

    # clause = ["!"] bucket {condition} ["/" [key] {condition}]

    def _clause(self) -> Clause:
        start = self._at
        exclude = self._peek() == "!"
        if exclude:
            self._at += 1
            self._skip_blanks()
            if self._peek() == "@":
                self._fail("a list in a file cannot be excluded as a whole; write the ! into its clauses")
            if self._peek() == "!":
                self._fail("one ! excludes; two mean nothing")
        first = self._at
        if self._text[first : first + 5].lower() == "s3://":
            self._fail("expected the name of a bucket; it stands here without s3://", first, first + 5)
        if self._peek() == "/":
            self._fail("expected the name of a bucket before the slash; * is any bucket")
        bucket = self._word(frozenset(_BLANKS + _ENDS + "#[]/"))
        if not bucket:
            self._fail("expected the name of a bucket" + ("" if self._peek() else "; the filter ends here"))
        if any(isinstance(piece, bytes) and b"/" in piece for piece in bucket):
            self._fail("the name of a bucket has no slash: quotes must end before it", first, self._at)
        bucket_conditions = self._conditions(on_bucket=True)
        key: Glob | None = None
        key_conditions: tuple[Condition, ...] = ()
        if self._peek() == "/":
            self._at += 1
            key = self._word(frozenset(_BLANKS + _ENDS + "#[]"))
            key_conditions = self._conditions(on_bucket=False, before=len(bucket_conditions))
        elif bucket_conditions and self._peek() not in ("", *_BLANKS, *_ENDS, "#"):
            self._fail("expected a slash and a key after the bucket's conditions, or the end of the item")
        return Clause(bucket, bucket_conditions, key, key_conditions, exclude, Span(start, self._at))

    def _conditions(self, *, on_bucket: bool, before: int = 0) -> tuple[Condition, ...]:
        found: list[Condition] = []
        while self._peek() == "[":
            if before + len(found) == MAX_CONDITIONS:
                self._fail(f"more than {MAX_CONDITIONS} conditions in one clause")
            found.append(self._condition(on_bucket))
        if found and not on_bucket and self._peek() not in ("", *_BLANKS, *_ENDS, "#"):
            self._fail("conditions end a clause: write the whole key before them, then a comma or a new line")
        return tuple(found)

    # condition = "[" attribute [operator value] "]"

    def _condition(self, on_bucket: bool) -> Condition:
        start = self._at
        self._at += 1
        self._skip_blanks()
        attribute, name = self._attribute(on_bucket, start)
        self._skip_blanks()
        operator = next((each for each in OPERATORS if self._text.startswith(each, self._at)), "")
        value: Glob = ()
        amount: Amount | None = None
        if operator:
            place = self._at
            self._at += len(operator)
            if operator in "=<>" and self._peek() == "=":
                self._fail("equality is written with one =", place, self._at + 1)
            if operator == "=" and self._peek() and self._peek() in "<>":
                self._fail(f"expected {self._peek()}=, with the = last", place, self._at + 1)
            self._skip_blanks()
            value, amount = self._value(attribute, operator)
        elif self._peek() == "!":
            self._fail("expected != here")
        if self._peek() != "]":
            if not self._peek() or self._peek() == "\n":
                self._fail("expected ] to close this condition", start)
            self._fail("expected ] here" if operator else "expected =, !=, <, <=, >, >= or ]")
        self._at += 1
        return Condition(attribute, name, operator, value, amount, Span(start, self._at))

    def _attribute(self, on_bucket: bool, start: int) -> tuple[str, bytes]:
        if self._peek() == "!":
            self._fail("a condition cannot be turned round; that a tag is absent is written [tag:NAME!=*]")
        match = _ATTRIBUTE.match(self._text, self._at)
        if match is None:
            self._fail(f"expected an attribute: {_words(ATTRIBUTES)}")
        word, first = match[0], self._at
        self._at = match.end()
        if word not in ATTRIBUTES:
            close = _FULL_NAMES.get(word.lower()) or _closest(word.lower(), ATTRIBUTES)
            hint = f"; did you mean {close}?" if close else f"; expected {_words(ATTRIBUTES)}"
            if not close and self._peek() != ":":
                hint += f"; a tag is written tag:{word}"
            self._fail(f"no attribute is called {word}{hint}", first, self._at)
        if on_bucket and word != TAG:
            self._fail(
                f"{word} is the object's: write it after the slash, as in bucket/[{word}…]; a bucket has only tag:NAME",
                first,
                self._at,
            )
        if word not in NAMED:
            if self._peek() == ":":
                self._fail(f"{word} has no name after a colon")
            return word, b""
        self._skip_blanks()
        if self._peek() != ":":
            self._fail(f"expected : and a name, as in [{word}:NAME]")
        self._at += 1
        self._skip_blanks()
        first = self._at
        glob = self._word(frozenset("=!<>[]\n"), wild=False, trim=True)
        name = b"".join(piece for piece in glob if isinstance(piece, bytes))
        if not name:
            self._fail(f"expected the name of a {_THINGS[word]} after {word}:", first)
        if word == TAG:
            return word, name
        if not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            self._fail("the name of a header has only letters, digits and !#$%&'*+-.^_`|~", first, self._at)
        name = name.lower()
        if word == METADATA and name.startswith(b"x-amz-meta-"):
            self._fail("md: means x-amz-meta- already; leave that out", first, first + 11)
        return word, name

    # value = text | quoted

    def _value(self, attribute: str, operator: str) -> tuple[Glob, Amount | None]:
        first = self._at
        value = self._word(frozenset("[]\n"), trim=True)
        written = self._text[first : self._at].rstrip(_BLANKS)
        if not written:
            self._fail("expected a value; '' is the empty one", first)
        plain = all(mark not in written for mark in "\\'\"")
        literal = b"".join(piece for piece in value if isinstance(piece, bytes))
        wild = any(isinstance(piece, Wild) for piece in value)
        found = core.read_amount(literal) if plain and not wild else None
        amount = Amount(*found) if found else None
        end = first + len(written)
        if attribute == SIZE and (amount is None or amount.kind not in (core.NUMBER, core.SIZE)):
            self._fail("a size is compared with a size, such as 4096, 64KiB or 10MB", first, end)
        if attribute == AGE and (amount is None or (amount.kind != core.DURATION and amount.nanos != 0)):
            unit = amount is not None and amount.kind == core.NUMBER
            hint = f": {written} of what?" if unit else ""
            self._fail(f"an age is compared with a duration, such as 30s, 15m, 12h, 7d or 2w{hint}", first, end)
        if operator in ORDERINGS and amount is None:
            if not plain and core.read_amount(literal) and not wild:
                self._fail(f"quotes and escapes make it a text, and {operator} compares no texts", first, end)
            self._fail(
                f"{operator} compares {_words([f'{kind}s' for kind in KINDS.values()])}; this is a text", first, end
            )
        if attribute == OPERATION:
            self._check_operation(value, first, end)
        return value, amount

    def _check_operation(self, value: Glob, first: int, end: int) -> None:
        """An operation that S3 does not have would never match, and nobody would be told."""
        known = _operations()
        pattern = "".join(
            (".*" if piece is Wild.ANY else ".") if isinstance(piece, Wild) else re.escape(text_of(piece))
            for piece in value
        )
        if any(re.fullmatch(pattern, name) for name in known):
            return
        written = self._text[first:end]
        close = {name.lower(): name for name in known}.get(written.lower()) or _closest(written, known)
        hint = f"did you mean {close}?" if close else "they are spelt as GetObject is"
        self._fail(f"no operation of S3 is called {written}; {hint}", first, end)

    # word = { character | escape | quoted | "*" | "?" }

    def _word(self, ends: frozenset[str], *, wild: bool = True, trim: bool = False) -> Glob:
        """Reads up to one of ``ends`` that is neither escaped nor quoted.

        ``wild``: a ``*`` or ``?`` is a wildcard, else an error. ``trim``: blanks at the end do not belong to it.
        """
        start = self._at
        pieces: list[bytes | Wild] = []
        literal = bytearray()
        solid = 0  # what of `literal` is no trailing blank
        quote, opened, size = "", 0, 0
        while True:
            character = self._peek()
            if quote and (not character or character == "\n"):
                self._fail("expected the closing quote of the one here", opened)
            if not character or (not quote and character in ends):
                break
            if character == quote:
                quote = ""
                solid = len(literal)
            elif not quote and character in "'\"":
                quote, opened = character, self._at
            elif character == "\\":
                literal += self._escape()
                solid = len(literal)
            elif character in "*?":
                if not wild:
                    self._fail(f"a name has no wildcards here; for the character itself write \\{character}")
                if literal:
                    pieces.append(bytes(literal))
                    literal.clear()
                    solid = 0
                one = Wild(character)
                if not (one is Wild.ANY and pieces and pieces[-1] is Wild.ANY):
                    pieces.append(one)
            else:
                literal += octets_of(character)
                if quote or character not in _BLANKS:
                    solid = len(literal)
            self._at += 1
        if trim:
            del literal[solid:]
        if literal:
            pieces.append(bytes(literal))
        size = sum(len(piece) if isinstance(piece, bytes) else 1 for piece in pieces)
        if size > MAX_GLOB_BYTES:
            self._fail(
                f"{size:,} bytes; at most {MAX_GLOB_BYTES:,} are compared, as many as a key has", start, self._at
            )
        return tuple(pieces)

    def _escape(self) -> bytes:
        """What the escape at the cursor stands for; leaves the cursor on its last character."""
        start = self._at
        self._at += 1
        character = self._peek()
        if not character or character == "\n":
            self._fail("expected a character after the \\", start)
        if character in _ESCAPES:
            return _ESCAPES[character]
        if character == "x":
            digits = _HEX.match(self._text, self._at + 1)
            if digits is None:
                self._fail("expected two hexadecimal digits after \\x", start, self._at + 1)
            self._at += 2
            return bytes.fromhex(digits[0])
        if character.isascii() and character.isalnum():
            self._fail(f"no escape \\{character}; of letters and digits only \\n, \\r, \\t and \\xHH mean something",
                       start, self._at + 1)  # fmt: skip
        return octets_of(character)


_THINGS = {TAG: "tag", HEADER: "header", METADATA: "user metadata entry"}


def _words(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}"


def _closest(word: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), "")


@lru_cache(maxsize=1)
def _operations() -> tuple[str, ...]:
    """The names of all operations. Only a filter with ``op`` pays for loading them (20 ms)."""
    from s3d.s3.operations import load_operations

    return tuple(operation.name for operation in load_operations())


def octets_of(character: str) -> bytes:
    """The character's UTF-8, or the byte that was none, which Python keeps as a lone surrogate (PEP 383)."""
    return character.encode("utf-8", "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass")


def text_of(octets: bytes) -> str:
    """The bytes as text, for people."""
    return octets.decode("utf-8", "backslashreplace")
