"""What is wrong with a filter, said so that it can be mended: where, what was expected, what was probably meant."""

from __future__ import annotations

import unicodedata

from s3d.filters.grammar import Span

_WIDTH = 100
"""Of the part of a long line that is shown."""


class FilterError(ValueError):
    """A filter that cannot be used. ``str()`` has all of it: where, why, and the line with a caret below.

    ``line`` and ``column`` count from 1, the latter in characters; both are 0 where it is not about a place in a text
    (a file that cannot be read).
    """

    def __init__(self, message: str, *, source: str = "", text: str = "", span: Span | None = None) -> None:
        self.message = message
        self.source = source
        """The file that the text came from; empty for the option itself."""
        self.line = self.column = 0
        self.excerpt = ""
        if span is not None:
            self.line, self.column = position(text, span.start)
            self.excerpt = excerpt(text, span)
        super().__init__(f"{self.where}{message}" + (f"\n{self.excerpt}" if self.excerpt else ""))

    @property
    def where(self) -> str:
        """``lists/hot, line 3, column 8: ``; empty where there is nothing to say."""
        place = f"line {self.line}, column {self.column}" if self.line else ""
        return ", ".join(filter(None, (self.source, place))) + (": " if self.source or place else "")


def position(text: str, at: int) -> tuple[int, int]:
    """Line and column of the character at ``at``, from 1."""
    return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1


def excerpt(text: str, span: Span, indent: str = "    ") -> str:
    """The line that ``span`` begins in, and a line with carets under it; a window of both where the line is long."""
    begin = text.rfind("\n", 0, span.start) + 1
    end = text.find("\n", span.start)
    line = text[begin : len(text) if end < 0 else end].rstrip("\r")
    first = min(span.start - begin, len(line))
    last = max(min(span.end - begin, len(line)), first + 1)
    cut = 0
    if len(line) > _WIDTH:
        cut = max(0, min(first - _WIDTH // 3, len(line) - _WIDTH))
        shown, last = line[cut : cut + _WIDTH], min(last, cut + _WIDTH)
    else:
        shown = line
    head, tail = "…" if cut else "", "…" if cut + len(shown) < len(line) else ""
    shown = "".join(map(_cell, shown))
    before = _columns(head + shown[: first - cut])
    carets = max(1, _columns(shown[first - cut : last - cut]))
    return f"{indent}{head}{shown}{tail}\n{indent}{' ' * before}{'^' * carets}"


def _cell(character: str) -> str:
    """The character if a terminal shows it, a blank for a tab, else a mark: a caret must stand where it belongs."""
    if character == "\t":
        return " "
    return character if character.isprintable() else "�"


def _columns(text: str) -> int:
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
