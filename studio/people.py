"""Who is asking. Every service call that touches somebody's data takes a `Person` first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Person:
    """One person who uses the studio. `role` is "member" or "admin"."""

    id: str
    role: str
    display_name: str

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"
