"""Whether the remote answers: a state machine fed by real requests and, while it does not, by a probe."""

from __future__ import annotations

import logging
import time
from typing import Literal

from s3d._core.exchange import Pulse
from s3d._core.failure import RemoteError, RemoteFailure

_log = logging.getLogger("s3d.remote")

State = Literal["unknown", "online", "degraded", "offline"]

_OFFLINE_AFTER = 3
"""Requests in a row that went unanswered on open connections until the remote counts as offline. A connection that
cannot be made says so by itself."""


class Health(Pulse):
    """The state of the remote.

    - *unknown*: nothing was asked yet.
    - *online*: the last request was answered, whatever the answer.
    - *degraded*: the last request was not answered whole, or one of the remote's addresses cannot be connected.
    - *offline*: the service's own address cannot be connected, or several requests in a row went unanswered.

    While nothing can be connected, or nothing was asked yet, `doubtful` asks for a probe once a second; the first
    answer of any kind leads back to *online*. The state tells people; it stops no request (each pool knows for its own
    address when trying is of no use).

    As a `Pulse` it is well while *online*: the hot path reports nothing then.
    """

    def __init__(self) -> None:
        self.state: State = "unknown"
        self.since_s = time.monotonic()
        self.last_error = ""
        self.latency_s: float | None = None
        self._unconnected = False
        self._failures = 0

    @property
    def doubtful(self) -> bool:
        """Whether only a probe can tell: requests may not come, or not to the service's own address."""
        return self.state in ("unknown", "offline") or (not self.well and self._unconnected)

    def succeeded(self) -> None:
        """The remote answered."""
        if not self.well:
            self._failures = 0
            self.well = True
            self._enter("online")

    def failed(self, error: RemoteError, service: bool) -> None:
        """A request was not answered, or not whole, because of ``error``; ``service``: at the service's own address."""
        self._failures += 1
        self.well = False
        self._unconnected = error.failure == RemoteFailure.CONNECT
        self.last_error = str(error)
        if (error.failure == RemoteFailure.CONNECT and service) or (
            error.failure == RemoteFailure.TIMED_OUT and not error.answered and self._failures >= _OFFLINE_AFTER
        ):
            self._enter("offline")
        elif self.state != "offline":
            self._enter("degraded")

    def _enter(self, state: State) -> None:
        if state == self.state:
            return
        if state == "online":
            _log.info("the remote is online")
        else:
            _log.warning("the remote is %s: %s", state, self.last_error)
        self.state = state
        self.since_s = time.monotonic()
