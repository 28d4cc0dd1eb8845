"""What the screens and the web routes get: every service, already built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from studio.catalog import Catalog
from studio.people import Person

if TYPE_CHECKING:
    from queue_backend.orchestrator import Orchestrator
    from studio.services.allowances import Allowances
    from studio.services.comparing import ComparingService
    from studio.services.enhancing import EnhancingService
    from studio.services.feed import JobFeed
    from studio.services.jobs import JobService
    from studio.services.library import LibraryService
    from studio.services.projects import ProjectService
    from studio.services.uploads import UploadService
    from studio.services.usage import UsageService
    from studio.services.webhooks.parts import Webhooks


class RequestLike(Protocol):
    """Any framework's request: Starlette's, FastAPI's or Gradio's."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def cookies(self) -> Mapping[str, str]: ...


class PersonFor(Protocol):
    """Says in whose name a request acts. Raises SignInNeeded."""

    def __call__(self, request: RequestLike, /) -> Person: ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services of one studio."""

    jobs: JobService
    library: LibraryService
    projects: ProjectService
    uploads: UploadService
    comparing: ComparingService
    enhancing: EnhancingService
    allowances: Allowances
    usage: UsageService
    feed: JobFeed
    webhooks: Webhooks
    orchestrator: Orchestrator
    catalog: Catalog
    person_for: PersonFor
