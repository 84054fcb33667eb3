"""The kinds of value that configuration and the command line speak: text in, typed value out, and back; and what an
option is: its names, its kind, its bounds. Which options there are stands in `s3d/config.py`.

Every reader takes the text that a user wrote and either returns a typed value or raises `ValueError` whose message
says what is allowed; the caller adds the option's name, the value and where it came from. Nothing here does I/O.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

SIZE_UNITS = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50,
}  # fmt: skip
DURATION_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
TRUE_WORDS = ("true", "1", "yes", "on")
FALSE_WORDS = ("false", "0", "no", "off")
UNIX_PATH_MAX = 107
"""Longest path of a unix socket in bytes: `sun_path` has 108 with its closing NUL (unix(7))."""

NUMBER_AND_UNIT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", re.ASCII)
HOST_LABELS = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*", re.ASCII)


class Secret:
    """A value that never shows itself: `repr`, `str`, rich and tracebacks print `***`; `reveal()` returns it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The hidden text. Call it where the secret is used and keep no copy of it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class Listener(msgspec.Struct, frozen=True):
    """One address that the daemon listens on, and that clients of this machine use to reach it.

    `scheme` is `http`, `https` or `unix`; `host` is a name or an IP address without brackets, `port` 0..65535
    (0: the kernel chooses one). A unix socket has only `path`, absolute.
    """

    scheme: Literal["http", "https", "unix"]
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_local(self) -> bool:
        """Only this machine can reach it: a unix socket or a loopback address."""
        return self.scheme == "unix" or is_loopback(self.host)

    @property
    def url(self) -> str:
        """The address as the user writes it."""
        if self.scheme == "unix":
            return f"unix://{self.path}"
        return f"{self.scheme}://{bracketed(self.host)}:{self.port}"

    def __str__(self) -> str:
        return self.url


def bracketed(host: str) -> str:
    """`host` as it stands in a URL: an IPv6 address in square brackets (RFC 3986 section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """True for `localhost` and its subdomains (RFC 6761 section 6.3), 127.0.0.0/8, ::1 and ::ffff:127.0.0.0/104."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def read_bool(text: str) -> bool:
    """`true`, `1`, `yes`, `on` or their opposites, in any case."""
    word = text.lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError("allowed: true or false (also 1/0, yes/no, on/off)")


def read_int(text: str, low: int, high: int | None) -> int:
    """A whole number in `low`..`high` (None: no upper bound)."""
    if re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII):
        number = int(text)
        if number >= low and (high is None or number <= high):
            return number
    raise ValueError(f"allowed: a whole number {allowed_range(low, high)}")


def read_size(text: str, low: int, high: int | None) -> int:
    """Bytes from `4096`, `10MB` (1000 * 1000) or `1.5GiB` (1024 ** 3); a fraction of a byte is cut off."""
    match = NUMBER_AND_UNIT.fullmatch(text)
    factor = SIZE_UNITS.get(match[2].lower()) if match and len(match[1]) <= 18 else None
    if match is None or factor is None:
        raise ValueError("allowed: a size such as 4096, 64KiB, 10MB or 1GiB (KB, MB, GB, TB; KiB, MiB, GiB, TiB)")
    # Whole numbers never pass through a float: 2**53 + 1 bytes must stay what it is.
    number = int(float(match[1]) * factor) if "." in match[1] else int(match[1]) * factor
    if number < low or (high is not None and number > high):
        at_most = None if high is None else format_size(high)
        raise ValueError(f"allowed: a size {allowed_range(format_size(low), at_most)}")
    return number


def read_duration(text: str, low: float, high: float | None, never: bool) -> float | None:
    """Seconds from `30s`, `5m`, `2h`, `7d`, `1.5s`, `250ms` or a bare number of seconds; None for `never`."""
    if never and text.lower() == "never":
        return None
    match = NUMBER_AND_UNIT.fullmatch(text)
    factor = DURATION_UNITS.get(match[2].lower()) if match and len(match[1]) <= 18 else None
    if match is None or factor is None:
        raise ValueError("allowed: a duration such as 500ms, 30s, 5m, 2h or 7d" + (", or never" if never else ""))
    seconds = float(match[1]) * factor
    if seconds < low or (high is not None and seconds > high):
        at_most = None if high is None else format_duration(high)
        text_range = allowed_range(format_duration(low), at_most)
        raise ValueError(f"allowed: a duration {text_range}" + (", or never" if never else ""))
    return seconds


def read_choice(text: str, choices: tuple[str, ...]) -> str:
    """One of `choices`, in any case."""
    word = text.lower()
    if word in choices:
        return word
    raise ValueError(f"allowed: {', '.join(choices)}")


def read_path(text: str) -> str:
    """A file or directory name without control characters; `~` is not expanded here."""
    if not is_printable(text):
        raise ValueError("allowed: a path without control characters")
    return text


def read_url(text: str) -> str:
    """An `http://` or `https://` address without path, query or user, normalised to `scheme://host[:port]`."""
    allowed = "allowed: a URL such as https://s3.eu-central-1.amazonaws.com or http://10.0.0.5:9000"
    scheme, host, port = split_url(text, allowed)
    if scheme not in ("http", "https"):
        raise ValueError(allowed)
    return f"{scheme}://{bracketed(host)}" + ("" if port is None else f":{port}")


def read_listener(text: str) -> Listener:
    """An address to listen on: `http://host:port`, `https://host:port` or `unix:///absolute/path`."""
    allowed = "allowed: http://HOST:PORT, https://HOST:PORT or unix:///PATH, several separated by commas"
    if text.lower().startswith("unix:"):
        path = text[5:].removeprefix("//")
        if not path.startswith("/") or path.endswith("/") or not is_printable(path):
            raise ValueError("allowed: a unix socket with an absolute path, such as unix:///run/s3d/s3d.sock")
        if len(path.encode()) > UNIX_PATH_MAX:
            raise ValueError(f"allowed: a unix socket path of at most {UNIX_PATH_MAX} bytes")
        return Listener("unix", path=path)
    scheme, host, port = split_url(text, allowed)
    if scheme == "http":
        return Listener("http", host, 80 if port is None else port)
    if scheme == "https":
        return Listener("https", host, 443 if port is None else port)
    raise ValueError(allowed)


def read_listeners(items: list[str]) -> tuple[Listener, ...]:
    """Several addresses to listen on, at least one."""
    if not items:
        raise ValueError("allowed: at least one address, such as http://localhost:33333")
    return tuple(map(read_listener, items))


def read_host(text: str) -> str:
    """A host name or IP address as a `Host` header carries it, without port, in lower case and without brackets."""
    host = text.lower().rstrip(".").removeprefix("[").removesuffix("]")
    if not is_host(host):
        raise ValueError("allowed: host names such as s3.example.com, without scheme or port, separated by commas")
    return host


def read_secret(text: str) -> Secret:
    """Any printable text of at most 1,024 characters."""
    if not is_printable(text) or len(text) > 1024:
        raise ValueError("allowed: printable characters, at most 1024")
    return Secret(text)


def read_access_key_id(text: str) -> str:
    """1..128 letters, digits and `._-+=@:`. A slash or a comma would break the credential scope of SigV4."""
    if not re.fullmatch(r"[A-Za-z0-9._+=@:-]{1,128}", text, re.ASCII):
        raise ValueError("allowed: 1 to 128 letters, digits and . _ - + = @ :")
    return text


def split_url(text: str, allowed: str) -> tuple[str, str, int | None]:
    """(scheme, host, port or None) of a URL that has nothing else; `ValueError` never repeats a password."""
    if not is_printable(text) or " " in text:
        raise ValueError(allowed)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(allowed) from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"credentials do not belong into an address; {allowed}")
    host = parts.hostname or ""
    if parts.path not in ("", "/") or parts.query or parts.fragment or not is_host(host):
        raise ValueError(allowed)
    return parts.scheme.lower(), host, port


def is_host(host: str) -> bool:
    """True for an IP address or a name of letters, digits, `-` and `_` in labels of at most 63."""
    if len(host) <= 253 and HOST_LABELS.fullmatch(host):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_printable(text: str) -> bool:
    """True when `text` is not empty and has no control characters or lone surrogates."""
    return bool(text) and text.isprintable()


def allowed_range(low: object, high: object | None) -> str:
    """`of at least 1`, or `from 1 to 10`."""
    return f"of at least {low}" if high is None else f"from {low} to {high}"


def format_size(size_bytes: int) -> str:
    """The shortest exact spelling: `1GiB`, `10MB`, `1500`."""
    spellings = [
        f"{size_bytes // factor}{unit}"
        for unit, factor in zip(
            ("", "KB", "MB", "GB", "TB", "PB", "KiB", "MiB", "GiB", "TiB", "PiB"),
            (1, 10**3, 10**6, 10**9, 10**12, 10**15, 2**10, 2**20, 2**30, 2**40, 2**50),
            strict=True,
        )
        if size_bytes >= factor and size_bytes % factor == 0
    ]
    return min(spellings, key=lambda text: (sum(map(str.isdigit, text)), len(text)), default="0")


def format_duration(seconds: float | None) -> str:
    """The shortest exact spelling: `30s`, `5m`, `7d`, `250ms`, `never`."""
    if seconds is None:
        return "never"
    for unit, factor in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * factor and seconds % factor == 0:
            return f"{seconds / factor:.0f}{unit}"
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    return f"{seconds:g}s"


Kind = Literal[
    "bool", "int", "size", "duration", "choice", "path", "url", "listeners", "hosts", "id", "secret", "filter"
]  # fmt: skip
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
                return read_bool(text)
            case "int":
                return read_int(text, low, high)
            case "size":
                return read_size(text, low, high)
            case "duration":
                return read_duration(text, self.low, self.high, self.never)
            case "choice":
                return read_choice(text, self.choices)
            case "path":
                return Path(read_path(text)).expanduser()
            case "url":
                return read_url(text)
            case "listeners":
                return read_listeners(split_list(text))
            case "hosts":
                return tuple(read_host(item) for item in split_list(text))
            case "id":
                return read_access_key_id(text)
            case "secret":
                return read_secret(text)
            case "filter":
                return text  # `Config.validate` parses it: what is wrong with it takes more than a sentence

    def show(self, value: Any) -> str:
        """The text of a typed value as a user would write it, `***` for a secret, empty for "not set"."""
        if self.kind == "duration" and (value is not None or self.never):
            return format_duration(value)
        if value is None:
            return ""
        if self.kind == "bool":
            return "true" if value else "false"
        if self.kind == "size":
            return format_size(value)
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
