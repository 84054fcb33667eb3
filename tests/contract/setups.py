"""The ways s3d is set up in the contract tests: which remote, and who checks whose signature."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from servers.daemon import LOCAL_CREDENTIALS, S3dDaemon
from servers.remotes import Credentials, Remote, client

# What the outer of two s3d signs with at the inner one.
INNER_CREDENTIALS = Credentials("INNEREXAMPLEKEY00001", "inner/secret+Key/EXAMPLE0001yKqhT3tzrEXAMPLE")
# Who is nobody anywhere: an s3d that lets everybody in must not care.
STRANGER = Credentials("STRANGEREXAMPLE00001", "stranger/secret+Key/EXAMPLE01tM9YdUqLEXAMPLE")


@dataclass(frozen=True)
class Kind:
    """What a setup consists of."""

    remote: str
    """The remote's fixture."""
    checked: bool = True
    """Whether s3d checks its clients' signatures."""
    chained: bool = False
    """Whether a second s3d stands before the remote."""
    alone: bool = False
    """The remote is an s3d without one, and clients speak to it with nothing between."""


SETUPS = {
    "seaweedfs": Kind("seaweedfs"),
    "seaweedfs-open": Kind("seaweedfs", checked=False),
    "moto": Kind("moto"),
    "moto-open": Kind("moto", checked=False),
    # The inner s3d verifies every signature that the outer one makes, which moto would not.
    "chain": Kind("seaweedfs", chained=True),
    "standalone": Kind("standalone", alone=True),
    "second": Kind("standalone"),
}


@dataclass
class Setup:
    """One s3d, or two in a row, in front of a remote. Without any, clients speak to the remote itself.

    Of a standalone the daemon is its own remote.
    """

    name: str
    remote: Remote
    daemons: list[S3dDaemon] = field(default_factory=list)

    @property
    def alone(self) -> bool:
        """Whether the s3d that clients speak to has no remote."""
        return bool(self.daemons) and self.daemons[0].standalone

    @property
    def endpoint(self) -> str:
        """Where clients connect."""
        return self.daemons[0].endpoint if self.daemons else self.remote.endpoint

    @property
    def credentials(self) -> Credentials:
        """What clients sign with."""
        if not self.daemons:
            return self.remote.credentials
        return self.daemons[0].identity or STRANGER

    @property
    def checks_signatures(self) -> bool:
        """Whether a client that signs wrongly is refused."""
        return self.daemons[0].identity is not None if self.daemons else self.remote.name != "moto"

    def client(self, **config: object):  # type: ignore[no-untyped-def]
        """A boto3 client with today's defaults; `config` overrides botocore's Config."""
        return client(self.endpoint, self.credentials, **config)

    def check_log(self) -> None:
        for daemon in self.daemons:
            daemon.check_log()

    def stop(self) -> None:
        for daemon in self.daemons:
            daemon.stop()


def start_setup(name: str, remote: Remote, directory: Path) -> Setup:
    """Starts the daemons of a setup of `SETUPS`."""
    kind = SETUPS[name]
    setup = Setup(name, remote)
    upstream, credentials = remote.endpoint, remote.credentials
    if kind.chained:
        inner = S3dDaemon(directory / "inner", remote=upstream, credentials=credentials, identity=INNER_CREDENTIALS)
        inner.start()
        setup.daemons.append(inner)
        upstream, credentials = inner.endpoint, INNER_CREDENTIALS
    outer = S3dDaemon(
        directory / "outer",
        remote=upstream,
        credentials=credentials,
        identity=LOCAL_CREDENTIALS if kind.checked else None,
    )
    outer.start()
    # Outermost first: it is stopped first, while its remote still answers.
    setup.daemons.insert(0, outer)
    return setup
