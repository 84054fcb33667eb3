"""Whether the remote answers: a state machine fed by real requests and, while it does not, by a probe."""

from __future__ import annotations

import logging
import time
from typing import Literal

from s3d._core.exchange import Pulse
from s3d._core.remote import RemoteError, RemoteFailure

_log = logging.getLogger("s3d.remote")

State = Literal["unknown", "online", "degraded", "offline"]

_OFFLINE_AFTER = 3
"""Requests in a row that went unanswered on open connections until the remote counts as offline. A connection that
cannot be made says so by itself."""


class Health(Pulse):
    """The state of the remote.

    - *unknown*: nothing was asked yet.
    - *online*: the last request was answered, whatever the answer.
    - *degraded*: the last request was not answered whole, but connections can be made.
    - *offline*: no connection can be made, or several requests in a row went unanswered. The probe asks once a second,
      and the first answer of any kind leaves the state.

    Offline by time-out, `refusing` is true: each request would wait its whole limit for nothing, so they fail at once
    and the probe finds out. Where connections are refused at once, trying costs nothing and recovery needs no probe.

    As a `Pulse` it is well while *online*: the hot path reports nothing then.
    """

    def __init__(self) -> None:
        self.state: State = "unknown"
        self.since_s = time.monotonic()
        self.last_error = ""
        self.latency_s: float | None = None
        self.refusing = False
        self._failures = 0

    def succeeded(self) -> None:
        """The remote answered."""
        if not self.well:
            self._failures = 0
            self.refusing = False
            self.well = True
            self._enter("online")

    def failed(self, error: RemoteError) -> None:
        """A request was not answered, or not whole, because of ``error``."""
        self._failures += 1
        self.well = False
        self.last_error = str(error)
        if error.failure == RemoteFailure.CONNECT or (
            error.failure == RemoteFailure.TIMED_OUT and not error.answered and self._failures >= _OFFLINE_AFTER
        ):
            self._enter("offline")
        elif self.state != "offline":
            self._enter("degraded")

    def refuse_at_once(self) -> None:
        """Connecting took its whole time limit: let nobody else wait for that until the probe gets through."""
        self.refusing = True

    def _enter(self, state: State) -> None:
        if state == self.state:
            return
        if state == "online":
            _log.info("the remote is online")
        else:
            _log.warning("the remote is %s: %s", state, self.last_error)
        self.state = state
        self.since_s = time.monotonic()
