"""The remote's own address in its answers, replaced by the one that the client used.

A ``Location`` that points past s3d would lead clients to a server that they may not reach and have no key for.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from s3d._core.percent import encode
from s3d._core.relocate import Relocation
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.stage import Stage
from s3d.s3.errors import xml_text


def address(request: Request, *, keep_slash: bool = True) -> str:
    """The URL of the request's bucket or object as its client addressed it, without query.

    ``keep_slash``: the key's slashes stand as they are. In its answer to CompleteMultipartUpload S3 encodes them.
    """
    scheme = "https" if request.secure else "http"
    host = request.host.decode("latin-1")
    path = b"" if request.virtual_host else b"/" + encode(request.bucket.encode())
    if request.key or request.virtual_host:
        path += b"/" + encode(request.key, keep_slash)
    return f"{scheme}://{host}{path.decode()}"


def relocate_header(request: Request, response: Response) -> None:
    """Rewrite the Location header of ``response`` if it is a whole URL; a path is right as it is."""
    for index, (name, value) in enumerate(response.headers):
        if name.lower() == b"location" and urlsplit(value).scheme in (b"http", b"https"):
            response.headers[index] = (name, address(request).encode("latin-1"))


def relocate_body(request: Request, response: Response) -> None:
    """Rewrite the ``Location`` element in the XML body of ``response`` while it streams through.

    CompleteMultipartUpload may take minutes, during which S3 sends white space to keep the connection alive (AWS API
    reference, CompleteMultipartUpload); it must reach the client as it comes.
    """
    if isinstance(response.body, Stage):
        response.body = Relocation(response.body, xml_text(address(request, keep_slash=False)).encode())
        response.content_length = -1
