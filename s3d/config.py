"""Configuration: every option once, and where each value came from.

The fields of `Config` are the table. One line there gives an option its environment variable, and from that its
`--option`, its TOML key, its type, default, bounds and meaning; the command line, `s3d config`, the documentation and
the checks below are made from it. For `S3D_HEADER_TIMEOUT` the option is `--header-timeout`, the TOML key
`header_timeout` (or `timeout` in a table `[header]`), the field `header_timeout_s`: fields carry their unit.

Sources, strongest first: command-line option, environment variable, TOML file (`S3D_CONFIG` or `--config`), default.
An empty value counts as not set. Credentials, profile and proxy of the remote are botocore's to read
(`AWS_*`, `HTTPS_PROXY`): `Config` does not hold them, `settings` shows them.

    config = load()                     # raises ConfigError with every problem found, not just the first
    for warning in config.warnings: ...
    config.resolve_auth()               # "none" or "sigv4"
    config.secret_access_key.reveal()   # a Secret shows itself nowhere else
"""

from __future__ import annotations

import difflib
import os
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from s3d import values
from s3d.values import ConfigError, Listener, Option, Origin, Secret

__all__ = ["OPTIONS", "Config", "ConfigError", "Listener", "Option", "Origin", "Secret", "Setting", "load", "settings"]

GENERAL = "General"
REMOTE = "Remote S3"
STORAGE = "What s3d keeps"
FILTERS = "Which objects"
ACCESS = "Who may connect"
LIMITS = "Limits"
LOGGING = "Logging"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All options of s3d with their effective values. Build it with `load`; a duration of None means `never`."""

    # fmt: off
    local_dir: Annotated[Path, Option("S3D_LOCAL_DIR", "path", "~/.s3d", GENERAL, "Where s3d keeps its own data.")]
    standalone: Annotated[bool, Option(
        "S3D_STANDALONE", "bool", "false", GENERAL,
        "Serve S3 out of S3D_LOCAL_DIR, with no remote behind it.")]
    endpoint: Annotated[tuple[Listener, ...], Option(
        "S3D_ENDPOINT", "listeners", "http://localhost:33333", GENERAL,
        "Address that s3d serves, and that its commands talk to (the first, if several are given with commas). "
        "http://HOST:PORT, https://HOST:PORT or unix:///PATH.")]
    domain: Annotated[tuple[str, ...], Option(
        "S3D_DOMAIN", "hosts", "localhost", GENERAL,
        "Domains for virtual-host-style addresses: with example.com, http://BUCKET.example.com/KEY works "
        "beside http://example.com/BUCKET/KEY. Several are separated by commas.")]
    config: Annotated[Path | None, Option(
        "S3D_CONFIG", "path", None, GENERAL, "TOML file with options; environment and command line win over it.")]
    shutdown_timeout_s: Annotated[float, Option(
        "S3D_SHUTDOWN_TIMEOUT", "duration", "30s", GENERAL,
        "How long requests in flight may go on after the first SIGTERM; a second one ends them at once.")]

    s3_endpoint: Annotated[str | None, Option(
        "S3_ENDPOINT", "url", None, REMOTE,
        "Address of the remote S3, such as https://s3.example.com:9000. Not set: AWS, by region.",
        aliases=("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))]
    aws_region: Annotated[str | None, Option(
        "AWS_REGION", "id", None, REMOTE,
        "Region of the remote. Not set: the region of the AWS profile, else us-east-1.",
        aliases=("AWS_DEFAULT_REGION",))]
    remote_addressing: Annotated[Literal["auto", "path", "virtual"], Option(
        "S3D_REMOTE_ADDRESSING", "choice", "auto", REMOTE,
        "How buckets are addressed at the remote: in the path, in the host name (virtual), or auto: virtual on AWS, "
        "path elsewhere.", choices=("auto", "path", "virtual"))]
    remote_verify_tls: Annotated[bool, Option(
        "S3D_REMOTE_VERIFY_TLS", "bool", "true", REMOTE,
        "Check the remote's certificate. Only for tests set this to false.")]
    remote_ca_bundle: Annotated[Path | None, Option(
        "S3D_REMOTE_CA_BUNDLE", "path", None, REMOTE,
        "File with the CA certificates (PEM) that the remote's certificate is checked against. Not set: the system's.",
        aliases=("AWS_CA_BUNDLE",))]
    remote_connections: Annotated[int, Option(
        "S3D_REMOTE_CONNECTIONS", "int", "256", REMOTE,
        "Connections to one remote address at most; further requests wait for one.", low=1, high=65535)]
    remote_retries: Annotated[int, Option(
        "S3D_REMOTE_RETRIES", "int", "2", REMOTE,
        "How often a request is sent again after a network error, where that is safe. Answers are never retried.",
        high=20)]
    remote_connect_timeout_s: Annotated[float, Option(
        "S3D_REMOTE_CONNECT_TIMEOUT", "duration", "3s", REMOTE,
        "Time to connect to the remote, TLS included.", low=0.01)]
    remote_read_timeout_s: Annotated[float, Option(
        "S3D_REMOTE_READ_TIMEOUT", "duration", "60s", REMOTE,
        "Time until the first byte of the remote's answer, counted from the end of the request.", low=0.01)]
    remote_stall_timeout_s: Annotated[float, Option(
        "S3D_REMOTE_STALL_TIMEOUT", "duration", "30s", REMOTE,
        "How long a transfer to or from the remote may stand still.", low=0.01)]
    remote_total_timeout_s: Annotated[float | None, Option(
        "S3D_REMOTE_TOTAL_TIMEOUT", "duration", "never", REMOTE,
        "Time for one whole request to the remote, body included.", low=0.01, never=True)]

    inline_size_bytes: Annotated[int, Option(
        "S3D_INLINE_SIZE", "size", "16KiB", STORAGE,
        "Objects up to this size lie in the index itself, larger ones in files of their own.", high=2**20)]
    disk_reserve_bytes: Annotated[int, Option(
        "S3D_DISK_RESERVE", "size", "256MiB", STORAGE,
        "What is kept free on the volume of S3D_LOCAL_DIR: below it new data are refused (503), and deleting works.")]
    write_queue_sync: Annotated[bool, Option(
        "S3D_WRITE_QUEUE_SYNC", "bool", "true", STORAGE,
        "Answer a write only when it is on the disk. With false it survives the end of s3d, but not a power cut.")]
    standalone_sse_s3: Annotated[Literal["accept", "refuse"], Option(
        "S3D_STANDALONE_SSE_S3", "choice", "accept", STORAGE,
        "What becomes of a write that asks for x-amz-server-side-encryption: AES256, which s3d alone does not do. "
        "accept: stored as it is; answers do not say that it is encrypted. refuse: 501 NotImplemented.",
        choices=("accept", "refuse"))]

    write_queue_filter: Annotated[str | None, Option(
        "S3D_WRITE_QUEUE_FILTER", "filter", None, FILTERS,
        "Which writes are queued, as a filter (docs/filters.md). Not set: all of them.")]
    read_cache_filter: Annotated[str | None, Option(
        "S3D_READ_CACHE_FILTER", "filter", None, FILTERS,
        "Which objects are cached, as a filter (docs/filters.md). Not set: all of them.")]
    filter_unknown: Annotated[Literal["exclude", "include"], Option(
        "S3D_FILTER_UNKNOWN", "choice", "exclude", FILTERS,
        "What a filter says of an object where that depends on tags or metadata that the remote keeps from s3d.",
        choices=("exclude", "include"))]

    auth: Annotated[Literal["auto", "none", "sigv4"], Option(
        "S3D_AUTH", "choice", "auto", ACCESS,
        "sigv4: every request is signed with the identity below. none: signed or not, every request is served. "
        "auto: sigv4 as soon as an identity is set, else none, and then only on loopback addresses and unix sockets.",
        choices=("auto", "none", "sigv4"))]
    access_key_id: Annotated[str | None, Option(
        "S3D_ACCESS_KEY_ID", "id", None, ACCESS, "Access key id that clients of s3d use. Not the remote's.")]
    secret_access_key: Annotated[Secret | None, Option(
        "S3D_SECRET_ACCESS_KEY", "secret", None, ACCESS, "Secret that goes with S3D_ACCESS_KEY_ID.")]
    allowed_hosts: Annotated[tuple[str, ...], Option(
        "S3D_ALLOWED_HOSTS", "hosts", None, ACCESS,
        "Names that clients may call s3d by, besides its own addresses, localhost and S3D_DOMAIN; requests for any "
        "other host get 421. Several are separated by commas.")]
    tls_cert: Annotated[Path | None, Option(
        "S3D_TLS_CERT", "path", None, ACCESS, "Certificate chain (PEM) for https:// in S3D_ENDPOINT.")]
    tls_key: Annotated[Path | None, Option(
        "S3D_TLS_KEY", "path", None, ACCESS, "Private key (PEM) of S3D_TLS_CERT.")]

    max_connections: Annotated[int, Option(
        "S3D_MAX_CONNECTIONS", "int", "1000", LIMITS,
        "Connections from clients at most.", low=1, high=1_000_000)]
    max_header_size_bytes: Annotated[int, Option(
        "S3D_MAX_HEADER_SIZE", "size", "32KiB", LIMITS,
        "Request line and headers of one request at most. S3 itself takes 8 KB of headers; keys and presigned "
        "addresses come on top.", low=4096, high=2**20)]
    max_object_size_bytes: Annotated[int, Option(
        "S3D_MAX_OBJECT_SIZE", "size", "50TB", LIMITS,
        "Body of one request at most. 50 TB is S3's largest object; the remote's own limits (5 GiB for one PUT on "
        "AWS) hold beside it.")]
    header_timeout_s: Annotated[float, Option(
        "S3D_HEADER_TIMEOUT", "duration", "10s", LIMITS,
        "Time for a client to send the headers of a request, once it has begun.", low=0.01)]
    idle_timeout_s: Annotated[float, Option(
        "S3D_IDLE_TIMEOUT", "duration", "75s", LIMITS,
        "How long a client's connection is kept open between requests.", low=0.01)]
    body_timeout_s: Annotated[float, Option(
        "S3D_BODY_TIMEOUT", "duration", "60s", LIMITS,
        "How long a client may stand still while it sends a body or reads an answer.", low=0.01)]

    log_level: Annotated[Literal["debug", "info", "warning", "error"], Option(
        "S3D_LOG_LEVEL", "choice", "info", LOGGING,
        "What is logged to stderr.", choices=("debug", "info", "warning", "error"))]
    testing: Annotated[bool, Option(
        "S3D_TESTING", "bool", "false", LOGGING, "Switches for s3d's own tests.", hidden=True)]
    crash_at: Annotated[str | None, Option(
        "S3D_CRASH_AT", "id", None, LOGGING,
        "With S3D_TESTING: die at a step of s3d.crash_point, NAME or NAME:COUNT.", hidden=True)]
    # fmt: on

    origins: dict[str, Origin]
    """Where each value came from, by environment variable. Never changed after `load`."""
    warnings: tuple[str, ...] = ()
    """Sentences that the user should read; none of them stops the start."""

    def identity(self) -> tuple[str, Secret] | None:
        """Access key id and secret that clients sign with, None when there are none; `ConfigError` for only one."""
        if self.access_key_id is not None and self.secret_access_key is not None:
            return self.access_key_id, self.secret_access_key
        if self.access_key_id is not None:
            raise ConfigError("S3D_ACCESS_KEY_ID is set, S3D_SECRET_ACCESS_KEY is not: set both, or neither.")
        if self.secret_access_key is not None:
            raise ConfigError("S3D_SECRET_ACCESS_KEY is set, S3D_ACCESS_KEY_ID is not: set both, or neither.")
        return None

    def resolve_auth(self) -> Literal["none", "sigv4"]:
        """How requests are authenticated, with `auto` decided. Raises `ConfigError` when that would be unsafe."""
        identity = self.identity()
        if self.auth == "sigv4" and identity is None:
            raise ConfigError(
                "S3D_AUTH is sigv4, but there is no identity to check signatures against: "
                "set S3D_ACCESS_KEY_ID and S3D_SECRET_ACCESS_KEY."
            )
        if self.auth == "none":
            return "none"
        if identity is not None:
            return "sigv4"
        exposed = [listener.url for listener in self.endpoint if not listener.is_local]
        if exposed:
            raise ConfigError(
                f"S3D_ENDPOINT {', '.join(exposed)} can be reached from other machines, and anyone there could use "
                "s3d's credentials: set S3D_ACCESS_KEY_ID and S3D_SECRET_ACCESS_KEY so that requests must be signed, "
                "or listen on localhost, or, if open access is what you want, set S3D_AUTH=none."
            )
        return "none"

    def validate(self) -> tuple[str, ...]:
        """Check the options against each other, without I/O. Returns warnings, raises `ConfigError` with all faults."""
        problems: list[str] = []
        warnings: list[str] = []
        try:
            auth = self.resolve_auth()
        except ConfigError as error:
            problems += error.problems
        else:
            if auth == "none" and self.access_key_id is not None:
                warnings.append("S3D_AUTH is none: S3D_ACCESS_KEY_ID is set, but requests are served without it.")
        https = [listener.url for listener in self.endpoint if listener.scheme == "https"]
        if (self.tls_cert is None) != (self.tls_key is None):
            problems.append("HTTPS takes both S3D_TLS_CERT and S3D_TLS_KEY; only one of them is set.")
        elif https and self.tls_cert is None:
            problems.append(f"S3D_ENDPOINT {', '.join(https)} is HTTPS: set S3D_TLS_CERT and S3D_TLS_KEY.")
        elif self.tls_cert is not None and not https:
            warnings.append("S3D_TLS_CERT is set, but no address of S3D_ENDPOINT is https://: nothing is encrypted.")
        urls = [listener.url for listener in self.endpoint]
        problems += [
            f"S3D_ENDPOINT lists {url} twice." for url in sorted({url for url in urls if urls.count(url) > 1})
            if not url.endswith(":0")
        ]  # fmt: skip
        problems += self._filter_problems(with_files=False)
        loop = None if self.standalone else self.loop()
        # AWS_ENDPOINT_URL is for clients, and may well name this very s3d.
        if self.standalone and str(self.origins.get("S3_ENDPOINT", "")).endswith("S3_ENDPOINT"):
            problems.append(
                f"S3D_STANDALONE is true, and S3_ENDPOINT names a remote ({self.s3_endpoint}): s3d either serves its "
                "own objects or stands before a remote; leave one of them out."
            )
        if loop is not None:
            origin = self.origins.get("S3_ENDPOINT", Origin("default"))
            problems.append(
                f"The remote S3 ({self.s3_endpoint}, from {origin}) is s3d's own address {loop.url}: every request "
                "would go round in a circle. Set S3_ENDPOINT to the remote store, or S3D_ENDPOINT to another port."
            )
        if problems:
            raise ConfigError(*problems)
        return tuple(warnings)

    def _filter_problems(self, *, with_files: bool) -> list[str]:
        """What is wrong with the filters, each with the place in its text; with what is wrong with their files."""
        from s3d.filters.errors import FilterError
        from s3d.filters.parse import parse
        from s3d.filters.source import read_sources

        problems = []
        for option in OPTIONS:
            text = getattr(self, option.field) if option.kind == "filter" else None
            if text is None:
                continue
            try:
                read_sources(text) if with_files else parse(text)
            except FilterError as error:
                origin = self.origins.get(option.name, Origin("default"))
                problems.append(f"{option.name} (from {origin}) is not a filter that can be used: {error}")
        return problems

    def loop(self) -> Listener | None:
        """The listener that `S3_ENDPOINT` points back to, compared by name (no DNS look-up), else None."""
        if self.s3_endpoint is None:
            return None
        scheme, host, port = values.split_url(self.s3_endpoint, "")
        port = (443 if scheme == "https" else 80) if port is None else port
        for listener in self.endpoint:
            if listener.scheme == "unix" or listener.port != port:
                continue
            same_host = listener.host == host or (values.is_loopback(host) and reaches_loopback(listener.host))
            if same_host:
                return listener
        return None

    def check_paths(self) -> tuple[str, ...]:
        """Look at the files that the options name. Returns warnings; `ConfigError` for one that is of no use."""
        problems = []
        for name, path in (
            ("S3D_TLS_CERT", self.tls_cert),
            ("S3D_TLS_KEY", self.tls_key),
            ("S3D_REMOTE_CA_BUNDLE", self.remote_ca_bundle),
        ):
            if path is not None and not (path.is_file() and os.access(path, os.R_OK)):
                problems.append(f"{name}: {path} is not a file that this user can read.")
        problems += self._filter_problems(with_files=True)
        if problems:
            raise ConfigError(*problems)
        existing = self.local_dir
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
            return ()
        return (f"S3D_LOCAL_DIR: {self.local_dir} cannot be written by this user; name another directory.",)


OPTIONS: tuple[Option, ...] = tuple(
    extra
    for hint in typing.get_type_hints(Config, include_extras=True).values()
    for extra in getattr(hint, "__metadata__", ())
    if isinstance(extra, Option)
)
"""The table, in the order of the fields of `Config`."""

FILTER_KEYS = frozenset(option.key for option in OPTIONS if option.kind == "filter")
"""Lists of these are joined by line breaks in a TOML file: a comment in one item must not hide the next."""

FOREIGN_NAMES = ("S3D_BUILD",)
"""Variables that begin with S3D_ and are no options: the build flavour of setup.py."""
SERVICE_LINKS = ("S3D_SERVICE_", "S3D_PORT")
"""Kubernetes sets S3D_SERVICE_HOST, S3D_PORT_33333_TCP and their like in every pod beside a Service named s3d."""

AWS_VARIABLES: dict[str, bool] = {
    "AWS_PROFILE": False,
    "AWS_ACCESS_KEY_ID": False,
    "AWS_SECRET_ACCESS_KEY": True,
    "AWS_SESSION_TOKEN": True,
    "AWS_CONFIG_FILE": False,
    "AWS_SHARED_CREDENTIALS_FILE": False,
    "AWS_ROLE_ARN": False,
    "AWS_ROLE_SESSION_NAME": False,
    "AWS_WEB_IDENTITY_TOKEN_FILE": False,
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": False,
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": False,
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": True,
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": False,
    "AWS_EC2_METADATA_DISABLED": False,
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": False,
    "AWS_USE_FIPS_ENDPOINT": False,
    "AWS_USE_DUALSTACK_ENDPOINT": False,
    "HTTPS_PROXY": True,
    "HTTP_PROXY": True,
    "NO_PROXY": False,
}
"""What botocore reads for the remote, and whether its value is hidden (a proxy's address may hold a password)."""


class Setting(msgspec.Struct, frozen=True):
    """One line of `s3d config`: `value` is text, `***` for a secret, empty when not set."""

    name: str
    value: str
    origin: str
    section: str
    meaning: str


def load(options: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Read all sources and check them.

    `options` has the command line's values as text by TOML key (`{"header_timeout": "5s"}`); `environ` is
    `os.environ` unless given. Reads the TOML file and nothing else. Raises `ConfigError` with every problem.
    """
    config = read_sources(options or {}, os.environ if environ is None else environ)
    return msgspec.structs.replace(config, warnings=config.warnings + config.validate())


def read_sources(options: Mapping[str, str], environ: Mapping[str, str]) -> Config:
    """The options as the sources give them, each valid by itself, not yet checked against each other."""
    problems: list[str] = []
    warnings = unknown_variables(environ)
    fields: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    path = (options.get("config") or environ.get("S3D_CONFIG") or "").strip()
    from_file = read_file(Path(path).expanduser(), problems) if path else {}
    for option in OPTIONS:
        text, origin = find(option, options, environ, from_file, path)
        value: Any = () if option.kind == "hosts" else None
        if text:
            try:
                value = option.read(text)
            except ValueError as error:
                shown = "***" if option.secret else repr(without_password(text))
                problems.append(f"{option.name}: {shown} (from {origin}) is not valid; {error}.")
            if option.secret and origin.source == "option":
                warnings.append(f"{option.flag} shows the secret in the process list: use {option.name} instead.")
        fields[option.field] = value
        origins[option.name] = origin
    if problems:
        raise ConfigError(*problems)
    return Config(**fields, origins=origins, warnings=tuple(warnings))


def find(
    option: Option, options: Mapping[str, str], environ: Mapping[str, str], from_file: Mapping[str, str], path: str
) -> tuple[str, Origin]:
    """The text of an option from the strongest source that has it, stripped, and that source."""
    text = options.get(option.key, "").strip()
    if text:
        return text, Origin("option", option.flag)
    text = environ.get(option.name, "").strip()
    if text:
        return text, Origin("environment", option.name)
    text = from_file.get(option.key, "").strip()
    if text:
        return text, Origin("file", f"{path}: {option.key}")
    for alias in option.aliases:
        text = environ.get(alias, "").strip()
        # The AWS SDKs' own switch for "do not take endpoints from the environment".
        ignored = alias.startswith("AWS_ENDPOINT_URL") and is_true(environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
        if text and not ignored:
            return text, Origin("environment", alias)
    return option.default or "", Origin("default")


def read_file(path: Path, problems: list[str]) -> dict[str, str]:
    """The options of a TOML file as text by key; appends to `problems` what is wrong with the file."""
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        problems.append(f"S3D_CONFIG: {path} cannot be read: {error.strerror}.")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"S3D_CONFIG: {path} is not a TOML file: {error}.")
        return {}
    known = [option.key for option in OPTIONS if option.name != "S3D_CONFIG"]
    found: dict[str, str] = {}
    for key, value in flatten(document):
        if key not in known:
            hint = suggestion(key.removeprefix("s3d_"), known)
            problems.append(f"{path}: {key} is not an option.{hint}")
        elif (text := toml_text(value, "\n" if key in FILTER_KEYS else ",")) is None:
            problems.append(f"{path}: {key} must be text, a number, true, false or a list of texts.")
        elif key in found:
            problems.append(f"{path}: {key} is given twice.")
        else:
            found[key] = text
    return found


def flatten(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Tables are prefixes: `[remote] retries = 3` is `remote_retries = 3`."""
    pairs: list[tuple[str, Any]] = []
    for key, value in document.items():
        name = prefix + key.lower().replace("-", "_")
        pairs += flatten(value, name + "_") if isinstance(value, dict) else [(name, value)]
    return pairs


def toml_text(value: object, separator: str = ",") -> str | None:
    """A TOML value as a user would write it in the environment; None when it has no such form.

    ``separator`` stands between the items of a list.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return separator.join(value)
    return None


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """A warning for each S3D_* variable that is no option. Not an error: other programs may set their own."""
    known = [option.name for option in OPTIONS]
    return [
        f"{name} in the environment is not an option of s3d and has no effect.{suggestion(name, known)}"
        for name in sorted(environ)
        if name.startswith("S3D_")
        and name not in known
        and name not in FOREIGN_NAMES
        and not name.startswith(SERVICE_LINKS)
    ]


def suggestion(word: str, known: list[str]) -> str:
    """` Did you mean X?` for a near miss, else nothing."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
    return f" Did you mean {close[0]}?" if close else ""


def settings(config: Config, environ: Mapping[str, str] | None = None) -> list[Setting]:
    """Every option that is not hidden, then the AWS variables that are set, with secrets hidden."""
    environ = os.environ if environ is None else environ
    lines = [
        Setting(
            option.name,
            option.show(getattr(config, option.field)),
            str(config.origins.get(option.name, Origin("default"))),
            option.section,
            option.meaning,
        )
        for option in OPTIONS
        if not option.hidden or config.origins.get(option.name, Origin("default")).source != "default"
    ]
    for name, secret in AWS_VARIABLES.items():
        for spelling in (name, name.lower()) if name.endswith("_PROXY") else (name,):
            if environ.get(spelling):
                shown = "***" if secret else environ[spelling]
                meaning = "Read by the AWS SDK for the remote."
                lines.append(Setting(spelling, shown, f"environment {spelling}", "AWS", meaning))
    return lines


def markdown_table() -> str:
    """The options as Markdown, one table for each section, for the documentation."""
    text = []
    for section in dict.fromkeys(option.section for option in OPTIONS):
        text.append(f"### {section}\n\n| Variable | Option | Default | Meaning |\n| --- | --- | --- | --- |")
        for option in OPTIONS:
            if option.section == section and not option.hidden:
                default = "" if option.default is None else f"`{option.default}`"
                meaning = option.meaning.replace("|", "\\|")
                if option.aliases:
                    meaning += f" Also read from {', '.join(f'`{alias}`' for alias in option.aliases)}."
                text.append(f"| `{option.name}` | `{option.flag}` | {default} | {meaning} |")
        text.append("")
    return "\n".join(text)


def is_true(text: str | None) -> bool:
    """True for a word that switches something on."""
    return (text or "").strip().lower() in values.TRUE_WORDS


def reaches_loopback(host: str) -> bool:
    """True when a listener on `host` also answers on loopback: a loopback address, or all addresses."""
    return host in ("0.0.0.0", "::") or values.is_loopback(host)


def without_password(text: str) -> str:
    """A value for an error message; whatever stands before an `@` may be a password."""
    head, at, tail = text.rpartition("@")
    scheme, slashes, _ = head.partition("://")
    return f"{scheme}{slashes}***@{tail}" if at and slashes else text
