"""What routes ask FastAPI for: the services, and the person in whose name a request acts.

What only looks something up is `async`: FastAPI sends every other function to a thread of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Query, Request

from studio.errors import Forbidden, NotFound
from studio.media.storage import MediaStorage
from studio.people import Person, require_scope
from studio.services.container import Services
from studio.web.identity import Identity, scope_of
from studio.web.outside import OutsideDoors, Provider
from studio.web.stopping import Stopping
from studio.web.vitals import Vitals

if TYPE_CHECKING:
    from studio.services.people_parts import PeopleParts
    from studio.services.studio_works import StudioWorks
    from studio.web.worker_door import WorkerDoor

HASHING_THREADS = 4
"""Threads that may wait for password hashes at once. A flood of sign-ins waits for these, and not for the threads by
which all other requests are answered."""


@dataclass(frozen=True, kw_only=True)
class AccountDoors:
    """What the pages and routes of people use. `signup` is "open", "invite" or "closed"."""

    identity: Identity
    people: PeopleParts
    studio_works: StudioWorks
    signup: str
    outside: OutsideDoors | None = None
    hashing: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(HASHING_THREADS))

    @property
    def providers(self) -> tuple[Provider, ...]:
        """The other ways to sign in, besides the password."""
        return self.outside.providers if self.outside else ()


@dataclass(frozen=True, kw_only=True)
class WebParts:
    """What the routes use besides the services. `accounts` is None in local mode, which has one person; `workers` where
    no worker of another machine may knock."""

    storage: MediaStorage
    vitals: Vitals
    stopping: Stopping
    accounts: AccountDoors | None = None
    workers: WorkerDoor | None = None


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
    """The person in whose name `request` acts. Raises SignInNeeded, or Forbidden where their key does not go so far."""
    person = services.person_for(request)
    require_scope(person, scope_of(request.method))
    return person


Acting = Annotated[Person, Depends(acting_person)]


async def accounts_of(parts: PartsOf) -> AccountDoors:
    """What belongs to people's accounts. Raises NotFound in local mode."""
    if parts.accounts is None:
        raise NotFound("This studio has one person and no accounts.")
    return parts.accounts


async def account_holder(person: Acting) -> Person:
    """The person, if they may manage their account: signed in, or by a key that administers. Raises Forbidden."""
    if "admin" not in person.scopes:
        raise Forbidden("Sign in with an account to do this; guests and plain API keys cannot.")
    return person


async def administrator(person: Acting) -> Person:
    """The person, if they administer the studio. Raises Forbidden."""
    if not person.is_admin:
        raise Forbidden("This is for administrators of the studio.")
    return person


AccountsOf = Annotated[AccountDoors, Depends(accounts_of)]
Holder = Annotated[Person, Depends(account_holder)]
Administrator = Annotated[Person, Depends(administrator)]
Limit = Annotated[int, Query(description="items a page", ge=1, le=200)]
Cursor = Annotated[str | None, Query(description="`next` of the page before", max_length=200)]
