"""Addresses of the studio, as people open them."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import Request


def invitation_url(request: Request, token: str) -> str:
    """Where an invitation is followed."""
    return f"{studio_url(request)}/signup?{urlencode({'invitation': token})}"


def reset_url(request: Request, token: str) -> str:
    """Where a new password is set."""
    return f"{studio_url(request)}/reset/{token}"


def studio_url(request: Request) -> str:
    """The studio's address: the public one where it is known, since any Host can be written into a request."""
    public: str | None = request.app.state.policy.public_url
    return (public or str(request.base_url)).rstrip("/")
