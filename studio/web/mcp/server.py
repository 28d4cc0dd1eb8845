"""The studio's tools as a server of the official SDK."""

from __future__ import annotations

from studio.services.container import Services
from studio.web.dependencies import WebParts
from studio.web.mcp.answers import Shelf
from studio.web.mcp.calls import StudioTools
from studio.web.mcp.job_tools import JobDesk, add_job_tools
from studio.web.mcp.library_tools import add_library_tools

NAME = "ourvidz-studio"
INSTRUCTIONS = """\
Makes pictures (SDXL) and films (WAN) on the person's own studio, and finds what was made. generate makes and waits;
submit_job orders without waiting. Everything is the key's owner's own. Show people the `url` of an asset: it opens in
a browser where they are signed in. An error reads "code: sentence"; on rate_limited or quota_exceeded wait before
trying again."""


def studio_server(services: Services, parts: WebParts, version: str) -> StudioTools:
    """Every tool and resource, over `services`."""
    server = StudioTools(NAME, title="OurVidz Studio", instructions=INSTRUCTIONS, version=version, subscriptions=False)
    shelf = Shelf(services.library, parts.storage)
    add_job_tools(server, JobDesk(services=services, stopping=parts.stopping, shelf=shelf))
    add_library_tools(server, services.library, shelf)
    return server
