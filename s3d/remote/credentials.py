"""The remote identity: found and refreshed by botocore, kept ready for signing.

botocore resolves credentials as every AWS SDK does (variables, profiles, SSO, processes, web identity, containers,
instance metadata). Some of these wait for files, processes or networks, so they run in a thread; requests only ever
read what is ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import threading
from collections.abc import Callable
from typing import Any, Literal

import botocore.session
from botocore.credentials import RefreshableCredentials

from s3d._core.sigv4 import Credentials

_log = logging.getLogger("s3d.remote")

_CHECK_INTERVAL_S = 30.0
"""How often expiring credentials are looked at. botocore refreshes them 15 minutes ahead, so a failed refresh is tried
some thirty times before it matters."""
_RETRY_INTERVAL_S = 5.0
"""How soon to look again while there are none."""

State = Literal["ok", "missing", "expired", "rejected", "error"]


class CredentialSource:
    """Keeps the current `Credentials` and tells ``changed`` when they are replaced (with None: there are none).

    `start` resolves them once, and goes on refreshing in a task of its own until `stop`.
    """

    def __init__(self, session: botocore.session.Session, changed: Callable[[Credentials | None], None]) -> None:
        self._session = session
        self._changed = changed
        self._found: Any = None
        self._current: Credentials | None = None
        self._frozen: tuple[Any, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self.state: State = "missing"
        self.error = ""
        self.source = ""

    @property
    def current(self) -> Credentials | None:
        """What to sign with now."""
        return self._current

    @property
    def expires_in_s(self) -> float | None:
        """Seconds until the credentials expire; None when they do not."""
        expires = getattr(self._found, "_expiry_time", None)
        if expires is None:
            return None
        return float((expires - datetime.datetime.now(datetime.UTC)).total_seconds())

    def rejected(self, code: str) -> None:
        """The remote does not accept what was signed with these credentials. They are looked at again soon."""
        if self.state == "ok":
            self.state, self.error = "rejected", f"the remote answers {code} to what is signed with them"
            _log.error("the remote does not accept s3d's credentials: it answers %s", code)

    def accepted(self) -> None:
        """The remote has carried out something that was signed with these credentials."""
        if self.state == "rejected":
            self.state, self.error = "ok", ""

    async def start(self) -> None:
        """Resolve the credentials once, and keep them fresh from then on."""
        await self._refresh()
        self._task = asyncio.create_task(self._keep_fresh(), name="credentials")

    async def stop(self) -> None:
        """End the refreshing task."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_INTERVAL_S if self.state == "ok" else _RETRY_INTERVAL_S)
            if self.state != "ok" or isinstance(self._found, RefreshableCredentials):
                await self._refresh()

    async def _refresh(self) -> None:
        # One refresh at a time: only `start`, and then only the task, calls this.
        try:
            found, frozen = await _in_thread(self._resolve)
        except Exception as error:  # noqa: BLE001 - whatever a provider raises, ClientError of STS among it
            expires_in_s = self.expires_in_s
            if self._current is not None and (expires_in_s is None or expires_in_s > 0):
                _log.warning("refreshing the remote's credentials failed: %s", error)
                return
            self._set(None, "error" if self._current is None else "expired", str(error))
            return
        if frozen is None:
            self._set(
                None,
                "missing",
                "none were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, for the daemon",
            )
            return
        self._found = found
        self.source = str(getattr(found, "method", ""))
        token = frozen.token.encode() if frozen.token else None
        known = self._current
        secret = (frozen.access_key, frozen.secret_key, frozen.token)
        if known is None or secret != self._frozen:
            self._frozen = secret
            self._set(Credentials(frozen.access_key.encode(), frozen.secret_key.encode(), token), "ok", "")
        if self.state != "rejected":
            self.state, self.error = "ok", ""

    def _resolve(self) -> tuple[Any, Any]:
        """Runs in a thread: may read files, start processes and ask metadata services."""
        found = self._found
        if found is None or self.state == "rejected":
            # A session remembers that it found nothing; ask its resolver anew instead.
            found = self._session.get_component("credential_provider").load_credentials()
        if found is None:
            return None, None
        return found, found.get_frozen_credentials()

    def _set(self, credentials: Credentials | None, state: State, error: str) -> None:
        if error and error != self.error:
            _log.error("there are no usable credentials for the remote: %s", error)
        self.state, self.error = state, error
        if credentials is not self._current:
            self._current = credentials
            self._changed(credentials)


async def _in_thread(work: Callable[[], Any]) -> Any:
    """Run ``work`` in a daemon thread: one that hangs in a metadata service must not keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="credentials", daemon=True).start()
    return await done
