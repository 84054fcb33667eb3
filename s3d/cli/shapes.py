"""Options and values for the shapes of botocore's service model."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s3d import values
from s3d.cli.console import USAGE, Failure

CHUNK_BYTES = 1 << 20


def kebab(name: str) -> str:
    """`get-object` for `GetObject`, as botocore and the AWS CLI split names."""
    from botocore import xform_name

    return str(xform_name(name, "-"))


def flag(member: str) -> str:
    """`--max-keys` for `MaxKeys`."""
    return "--" + kebab(member)


def metavar(shape: Any) -> str:
    """What stands for a value of this shape in a help text."""
    if shape.type_name == "blob":
        return "FILE|-" if shape.serialization.get("streaming") else "BASE64"
    if shape.type_name == "string" and 0 < len(getattr(shape, "enum", ())) <= 6:
        return "|".join(shape.enum)
    names = {"integer": "N", "long": "N", "boolean": "[true|false]", "timestamp": "TIME", "string": "TEXT"}
    return names.get(shape.type_name, "JSON")


def first_sentence(documentation: str) -> str:
    """The first sentence of the model's HTML, as plain text."""
    text = re.sub(r"<note>.*?</note>|<important>.*?</important>", "", documentation or "", flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]+>", " ", text))
    text = re.sub(r"\s+", " ", text).replace(" .", ".").replace(" ,", ",").strip()
    match = re.match(r".*?[^.][.:](?= [A-Z]|$)", text)
    return (match[0] if match else text).rstrip(":")


def is_streaming_blob(operation: Any, member: str) -> bool:
    """True for the member that is the request's body."""
    shape = operation.input_shape
    return bool(shape.serialization.get("payload") == member and shape.members[member].type_name == "blob")


def streams_out(operation: Any) -> bool:
    """True when the answer has a body of bytes or a stream of events instead of XML."""
    return bool(operation.has_streaming_output or operation.has_event_stream_output)


def is_event_stream(value: object) -> bool:
    """True for botocore's stream of events (SelectObjectContent)."""
    from botocore.eventstream import EventStream

    return isinstance(value, EventStream)


def blocks(body: Any) -> Iterator[bytes]:
    """The bytes of a streaming answer; of a stream of events those of its records."""
    if not is_event_stream(body):
        yield from iter(lambda: body.read(CHUNK_BYTES), b"")
        return
    for event in body:
        if "Records" in event:
            yield event["Records"]["Payload"]


def read_value(name: str, shape: Any, text: str) -> Any:
    """The value of option `name` for `shape`. Raises `Failure` that says what is allowed."""
    kind = shape.type_name
    try:
        if kind in ("structure", "map", "list"):
            return read_json(shape, text)
        if kind == "boolean":
            return values.read_bool(text)
        if kind in ("integer", "long"):
            return values.read_int(text, -(2**63), 2**63 - 1)
        if kind == "blob":
            return base64.b64decode(text, validate=True)
    except ValueError as error:
        allowed = {"blob": "allowed: base64"}.get(kind, str(error))
        raise Failure(f"{name} {text!r} is not valid; {allowed}.", USAGE) from None
    return text


def read_json(shape: Any, text: str) -> Any:
    """A structure, map or list from JSON or @FILE; a list of plain texts also from `a,b`."""
    if shape.type_name == "list" and shape.member.type_name == "string" and not text.startswith(("[", "@")):
        return [item.strip() for item in text.split(",")]
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"the file cannot be read: {error.strerror}") from None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"allowed: JSON, or @FILE with JSON inside ({error})") from None
    wanted: type = list if shape.type_name == "list" else dict
    if not isinstance(value, wanted):
        raise ValueError(f"allowed: a JSON {'array' if wanted is list else 'object'}, members {member_names(shape)}")
    return value


def member_names(shape: Any) -> str:
    """The names that a JSON value of this shape may have, for messages."""
    inner = shape.member if shape.type_name == "list" else shape
    return ", ".join(getattr(inner, "members", {})) or "of any name"


def read_structure(name: str, text: str) -> dict[str, Any]:
    """A JSON object from text or @FILE, of no particular shape."""

    class Anything:
        type_name = "structure"

    return dict(read_value(name, Anything, text))
