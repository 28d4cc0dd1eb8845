"""What routes ask FastAPI for: the services, and the person in whose name a request acts.

What only looks something up is `async`: FastAPI sends every other function to a thread of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request

from studio.media.storage import MediaStorage
from studio.people import Person
from studio.services.container import Services
from studio.web.stopping import Stopping
from studio.web.vitals import Vitals


@dataclass(frozen=True, kw_only=True)
class WebParts:
    """What the routes use besides the services."""

    storage: MediaStorage
    vitals: Vitals
    stopping: Stopping


async def services_of(request: Request) -> Services:
    """The services that the app was created with."""
    services: Services = request.app.state.services
    return services


async def parts_of(request: Request) -> WebParts:
    """The other parts that the app was created with."""
    parts: WebParts = request.app.state.parts
    return parts


ServicesOf = Annotated[Services, Depends(services_of)]
PartsOf = Annotated[WebParts, Depends(parts_of)]


async def vitals_of(parts: PartsOf) -> Vitals:
    return parts.vitals


async def stopping_of(parts: PartsOf) -> Stopping:
    return parts.stopping


VitalsOf = Annotated[Vitals, Depends(vitals_of)]
StoppingOf = Annotated[Stopping, Depends(stopping_of)]


def acting_person(request: Request, services: ServicesOf) -> Person:
    """The person in whose name `request` acts. Raises SignInNeeded."""
    return services.person_for(request)


Acting = Annotated[Person, Depends(acting_person)]
Limit = Annotated[int, Query(description="items a page, 1 to 200")]
Cursor = Annotated[str | None, Query(description="`next` of the page before", max_length=200)]
