"""From clauses back to text: the shortest form that `parse` reads as the same."""

from __future__ import annotations

from collections.abc import Iterable

from s3d._core import filter as core
from s3d.filters.grammar import Condition, FileList, Glob, Item

_NAMED_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# What ends each kind of word, or begins something else in it.
_BUCKET = " ,#[]/"
_KEY = " ,#[]"
_PATH = " ,#["
_NAME = "=!<>[]"
_VALUE = "[]"


def show(items: Iterable[Item], separator: str = ", ") -> str:
    """The items as one list."""
    return separator.join(show_item(item) for item in items)


def show_item(item: Item) -> str:
    """One clause, or one ``@file``."""
    if isinstance(item, FileList):
        return "@" + show_word((item.path.encode("utf-8", "surrogateescape"),), _PATH, wild=False)
    text = "!" if item.exclude else ""
    text += _bucket(item.bucket)
    text += "".join(map(show_condition, item.bucket_conditions))
    if item.key is not None:
        text += "/" + show_key(item.key) + "".join(map(show_condition, item.key_conditions))
    return text


def show_key(key: Glob) -> str:
    """A glob of keys."""
    return show_word(key, _KEY)


def _bucket(bucket: Glob) -> str:
    text = show_word(bucket, _BUCKET, first="!@")
    # With a key that begins with a slash, it would be read as the scheme of an address.
    return _quoted(bucket, wild=True) if text.lower() == "s3:" else text


def show_condition(condition: Condition) -> str:
    """One condition with its brackets."""
    text = condition.attribute
    if condition.name:
        text += ":" + show_word((condition.name,), _NAME, wild=False)
    if condition.operator:
        text += condition.operator + _value(condition)
    return f"[{text}]"


def _value(condition: Condition) -> str:
    text = show_word(condition.value, _VALUE)
    if not text:
        return "''"
    literal = b"".join(piece for piece in condition.value if isinstance(piece, bytes))
    bare = len(condition.value) == 1 and core.read_amount(literal) is not None
    if condition.amount is not None or (text[0] not in "=<> " and not bare):
        return text
    return text if text[0] in "'\"" else _quoted(condition.value, wild=True)


def show_word(glob: Glob, special: str, *, wild: bool = True, first: str = "") -> str:
    """A glob as one word: with escapes, or in quotes where ``special`` characters are in it.

    ``first``: characters that are special at the beginning only.
    """
    literals = "".join(_decoded(piece) for piece in glob if isinstance(piece, bytes))
    outer = literals[:1] + literals[-1:] if special in (_NAME, _VALUE) else ""
    if any(character in special for character in literals) or " " in outer:
        return _quoted(glob, wild)
    text = "".join(_plain(piece, "'\"", wild) if isinstance(piece, bytes) else piece.value for piece in glob)
    return "\\" + text if text[:1] and text[0] in first else text


def _quoted(glob: Glob, wild: bool) -> str:
    return f"'{''.join(_plain(piece, chr(39), wild) if isinstance(piece, bytes) else piece.value for piece in glob)}'"


def _plain(literal: bytes, quotes: str, wild: bool) -> str:
    """The literal with escapes for what means something wherever it stands."""
    text = []
    for character in _decoded(literal):
        if character in _NAMED_ESCAPES:
            text.append(_NAMED_ESCAPES[character])
        elif character == "\\" or character in quotes or character in "*?":
            text.append("\\" + character)
        elif character.isprintable():
            text.append(character)
        else:
            octets = character.encode("utf-8", "surrogateescape")
            text.append("".join(f"\\x{octet:02x}" for octet in octets))
    return "".join(text)


def _decoded(literal: bytes) -> str:
    return literal.decode("utf-8", "surrogateescape")
