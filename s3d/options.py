"""What an option is: its names, how its text becomes a value, how a value is shown, where one comes from.

Which options there are stands in `s3d/config.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from s3d import values

Kind = Literal["bool", "int", "size", "duration", "choice", "path", "url", "listeners", "hosts", "id", "secret"]
UNIT_SUFFIX: dict[str, str] = {"size": "_bytes", "duration": "_s"}
"""Fields name their unit last; environment variables and keys do not, their values carry it."""


class Option(msgspec.Struct, frozen=True):
    """One row of the table.

    `default` is text as a user would write it, None for "not set". `low`/`high` bound sizes (bytes), durations
    (seconds) and whole numbers. `never` lets a duration be unlimited. `aliases` are foreign environment variables
    that are read when `name` is not set, in order.
    """

    name: str
    kind: Kind
    default: str | None
    section: str
    meaning: str
    low: float = 0
    high: float | None = None
    never: bool = False
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    hidden: bool = False

    @property
    def key(self) -> str:
        """The key in a TOML file: the variable without `S3D_`, in lower case."""
        return self.name.removeprefix("S3D_").lower()

    @property
    def flag(self) -> str:
        """The spelling on the command line, `--header-timeout`."""
        return "--" + self.key.replace("_", "-")

    @property
    def field(self) -> str:
        """The field of `Config`: the key with its unit last."""
        return self.key + UNIT_SUFFIX.get(self.kind, "")

    @property
    def secret(self) -> bool:
        """Never shown, neither by `repr` nor by `s3d config`."""
        return self.kind == "secret"

    def read(self, text: str) -> Any:
        """The typed value of `text`; `ValueError` says what is allowed."""
        low, high = int(self.low), None if self.high is None else int(self.high)
        match self.kind:
            case "bool":
                return values.read_bool(text)
            case "int":
                return values.read_int(text, low, high)
            case "size":
                return values.read_size(text, low, high)
            case "duration":
                return values.read_duration(text, self.low, self.high, self.never)
            case "choice":
                return values.read_choice(text, self.choices)
            case "path":
                return Path(values.read_path(text)).expanduser()
            case "url":
                return values.read_url(text)
            case "listeners":
                return values.read_listeners(split_list(text))
            case "hosts":
                return tuple(values.read_host(item) for item in split_list(text))
            case "id":
                return values.read_access_key_id(text)
            case "secret":
                return values.read_secret(text)

    def show(self, value: Any) -> str:
        """The text of a typed value as a user would write it, `***` for a secret, empty for "not set"."""
        if self.kind == "duration" and (value is not None or self.never):
            return values.format_duration(value)
        if value is None:
            return ""
        if self.kind == "bool":
            return "true" if value else "false"
        if self.kind == "size":
            return values.format_size(value)
        if isinstance(value, tuple):
            return ",".join(map(str, value))
        return str(value)


class Origin(msgspec.Struct, frozen=True):
    """Where a value came from; `detail` is the option, the variable, or the file and its key."""

    source: Literal["option", "environment", "file", "default"]
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.source} {self.detail}".strip()


class ConfigError(ValueError):
    """The configuration cannot be used. `problems` has one sentence for each reason, with what to do about it."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def split_list(text: str) -> list[str]:
    """The items of a comma-separated list, without blanks around them and without empty ones."""
    return [item.strip() for item in text.split(",") if item.strip()]
