"""Who may ask s3d for something."""

from __future__ import annotations

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """An access key, its secret, and whom they stand for. `repr` keeps the secrets to itself."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    """Temporary credentials carry one, and every request must then bring it."""
    display_name: str = ""
    is_root: bool = False
    """May do everything; policies do not apply."""

    def __repr__(self) -> str:
        return f"Identity({self.access_key_id!r}, display_name={self.display_name!r}, is_root={self.is_root})"
