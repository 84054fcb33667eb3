"""What the remotes lack: tests that cannot pass in front of them, each with its reason.

Keys are `<file>::<test>` or `<file>::<test>[<parameter>]`. Run with `S3D_TESTS_DIRECT=1`, every one of them fails at the
remote itself, or the run fails.
"""

from __future__ import annotations

LACKS: dict[str, dict[str, str]] = {
    "seaweedfs": {},
    "moto": {},
}
