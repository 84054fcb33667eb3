"""Tells who sent a request, by its signature.

Called once for every request, on the event loop, before anything else happens to it: no await, no I/O.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from s3d._core.fault import Fault, FaultCode
from s3d._core.request import Request
from s3d._core.sigv4 import Credentials, SigningContext
from s3d._core.verify import Verifier, refuse_signature_v2
from s3d.auth.identity import Identity
from s3d.auth.post_policy import PostPolicy, verify_post_policy

Answer = tuple[Identity | None, SigningContext | None]
Mode = Literal["none", "sigv4"]

_ANYBODY: tuple[None, None] = (None, None)


class Authenticator:
    """Checks requests against ``identities``.

    ``none`` takes signed and unsigned requests alike and looks at no signature; only Signature Version 2 is refused,
    which would fail later and less clearly at a remote. With ``take_any``, where there is none, it passes as well: it
    is what boto3 and the AWS CLI presign with by default. ``sigv4`` wants a valid Signature Version 4 on every request.
    ``now_s`` gives the wall clock in seconds since 1970.
    """

    def __init__(
        self,
        mode: Mode,
        identities: Iterable[Identity] = (),
        *,
        now_s: Callable[[], float] = time.time,
        take_any: bool = False,
    ) -> None:
        self.mode: Mode = mode
        self._take_any = take_any
        self._now_s = now_s
        self._credentials: dict[bytes, Credentials] = {}
        for identity in identities:
            access_key = identity.access_key_id.encode()
            if access_key in self._credentials:
                raise ValueError(f"two identities have the access key {identity.access_key_id}")
            token = identity.session_token
            self._credentials[access_key] = Credentials(
                access_key, identity.secret_access_key.encode(), None if token is None else token.encode(), identity
            )
        self._verifier = Verifier(self._credentials.values())
        self.verifier: Verifier | None = self._verifier if mode == "sigv4" and now_s is time.time else None
        """What `authenticate` asks, for callers in C that read the system's clock themselves."""

    def authenticate(self, request: Request) -> Answer:
        """The identity behind ``request``, and its signature for checking the body's chunks; both None in mode none.

        Raises Fault with S3's code when the signature is missing, malformed, expired or wrong.
        """
        if self.mode == "none":
            if not self._take_any:
                refuse_signature_v2(request)
            return _ANYBODY
        context = self._verifier.verify(request, int(self._now_s()))
        if context is None:
            raise Fault(FaultCode.ACCESS_DENIED, "Access Denied")
        identity: Identity = context.credentials.owner
        return identity, context

    def verify_post_policy(self, fields: Mapping[str, str]) -> PostPolicy:
        """The policy of a browser's form upload, once its signature and conditions hold for ``fields``.

        See `verify_post_policy`, which this calls with the identities and the clock.
        """
        return verify_post_policy(fields, self._credentials.get, self._now_s())
