"""The endpoints of the Python client, gradio_client. Gradio derives their documentation from the signatures.

Annotations are evaluated here (no `from __future__ import annotations`), since Gradio reads the return type as it is.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread
from gradio.context import Context
from gradio_client.utils import is_file_obj_with_meta
from pydantic import ConfigDict, validate_call

from studio.catalog import RANDOM_SEED
from studio.database.schema import ENDED
from studio.errors import InvalidInput
from studio.orders import DEFAULT_JOB_TYPE, Order
from studio.people import Person
from studio.services.container import Services
from studio.services.following import follow_job
from studio.services.library import AssetFilter
from studio.ui import calls

CALL_RULES = ConfigDict(arbitrary_types_allowed=True)

Json = dict[str, Any]
Picture = gr.FileData | str | None
"""A reference picture: a file of the client (`handle_file("cat.png")`) or the id of an upload or asset."""
Outcome = tuple[Json, list[gr.FileData]]


def register_endpoints(services: Services) -> None:
    """Register every endpoint of the Python client. To be called inside `gr.Blocks`."""
    _only_uploads_as_input()
    orders = _Orders(services)
    _register_generate(orders)
    _register_submit(orders)
    _register_jobs(services)
    _register_enhancing(services)
    _register_library(services)


def _only_uploads_as_input() -> None:
    # Gradio holds file inputs to its upload folder only in apps that it launched itself. A mounted app must say so, or
    # a client could name any picture on this machine, other people's included, as its input.
    app = Context.root_block
    assert app is not None, "register_endpoints belongs inside gr.Blocks"
    app.has_launched = True


class _Orders:
    """Turns the arguments of a call into a job."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def submit(self, request: gr.Request, fields: Mapping[str, Any]) -> tuple[Person, Json]:
        """Order a job. The rest of the order is checked before a picture that came with it is kept."""
        person = acting_person(self.services, request)
        pictures = {name: fields[name] for name in ("image", "mask")}
        order = Order.parse({**fields, **{name: _known_id(value) for name, value in pictures.items()}})
        kept = {name: self._kept(person, name, value) for name, value in pictures.items() if isinstance(value, dict)}
        return person, self.services.jobs.submit(person, order.model_copy(update=kept))

    def _kept(self, person: Person, field: str, file: Json) -> str:
        """The id under which the client's file is now kept."""
        if not is_file_obj_with_meta(file):
            raise InvalidInput(f"{field}: send a file with handle_file(path), or an id.", field=field)
        kept: str = self.services.uploads.accept(person, Path(file["path"]), mask=field == "mask")["id"]
        return kept

    def follow(self, person: Person, job_id: str) -> AsyncGenerator[Json]:
        """The job as it is now and after each of its changes, until it has ended."""
        return follow_job(self.services.feed, self.services.jobs, person, job_id)

    def files(self, job: Json) -> list[gr.FileData]:
        """The finished files as the client downloads them, through the route that checks the owner."""
        if job["status"] not in ENDED:
            return []
        extension = self.services.catalog.types[job["type"]].extension
        return [gr.FileData(**_file(asset_id, extension)) for asset_id in job["assets"]]


def _register_generate(orders: _Orders) -> None:
    @calls.following(Outcome)
    async def generate(
        request: gr.Request,
        prompt: str,
        job_type: str = DEFAULT_JOB_TYPE,
        negative_prompt: str = "",
        width: int | None = None,
        height: int | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = RANDOM_SEED,
        count: int | None = None,
        image: Picture = None,
        mask: Picture = None,
        strength: float | None = None,
        project: str | None = None,
    ) -> AsyncGenerator[Outcome]:
        """Order a job and follow it: yields the job while it runs and ends with (job, files), files as local paths.
        A job that failed or was cancelled ends it too, with its error in the job and no files. `image` and `mask` are
        handle_file("a.png") or the id of an upload or asset. A client that goes away leaves its job running."""
        fields = _order_fields(locals())
        with calls.public_errors("generate"):
            person, job = await to_thread.run_sync(orders.submit, request, fields)
            async with aclosing(orders.follow(person, job["id"])) as states:
                async for state in states:
                    # A key may be revoked, or its person signed out, while the job runs: then nothing more is told.
                    await to_thread.run_sync(acting_person, orders.services, request)
                    yield state, orders.files(state)


def _register_submit(orders: _Orders) -> None:
    @calls.short()
    def submit_job(
        request: gr.Request,
        prompt: str,
        job_type: str = DEFAULT_JOB_TYPE,
        negative_prompt: str = "",
        width: int | None = None,
        height: int | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        seed: int = RANDOM_SEED,
        count: int | None = None,
        image: Picture = None,
        mask: Picture = None,
        strength: float | None = None,
        project: str | None = None,
    ) -> Json:
        """Order a job and return it at once; /get_job tells how it stands. Arguments as for /generate."""
        fields = _order_fields(locals())
        return orders.submit(request, fields)[1]


def _register_jobs(services: Services) -> None:
    @calls.short()
    @validate_call(config=CALL_RULES)
    def get_job(request: gr.Request, job_id: str) -> Json:
        """One job as it stands."""
        return services.jobs.get(acting_person(services, request), job_id)

    @calls.short()
    @validate_call(config=CALL_RULES)
    def cancel_job(request: gr.Request, job_id: str) -> Json:
        """Cancel a job: at once if it waits, at its next step if it runs."""
        return services.jobs.cancel(acting_person(services, request), job_id)

    @calls.short()
    @validate_call(config=CALL_RULES)
    def retry_job(request: gr.Request, job_id: str) -> Json:
        """Queue a failed or cancelled job once more, with the same settings and seed."""
        return services.jobs.retry(acting_person(services, request), job_id)

    @calls.short()
    @validate_call(config=CALL_RULES)
    def list_jobs(
        request: gr.Request,
        status: str | None = None,
        job_type: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Json:
        """One's own jobs, newest first: {"items": [...], "next": cursor of the following page or None}."""
        person = acting_person(services, request)
        return services.jobs.list(person, status=status, job_type=job_type, limit=limit, cursor=cursor)

    @calls.short()
    @validate_call(config=CALL_RULES)
    def job_types(request: gr.Request) -> list[Json]:
        """The catalog: every job type with its defaults, limits and sizes."""
        acting_person(services, request)
        return services.catalog.as_json()


def _register_enhancing(services: Services) -> None:
    @calls.waiting(Json)
    async def enhance_prompt(request: gr.Request, prompt: str, kind: str = "video") -> Json:
        """Write a prompt out in more detail for a "video" or an "image": {"prompt", "enhanced_prompt", "note"}. Where
        the rewriting was unusable `enhanced_prompt` is None and `note` says why."""
        with calls.public_errors("enhance_prompt"):
            return await services.enhancing.enhance(acting_person(services, request), prompt, kind)


def _register_library(services: Services) -> None:
    @calls.short()
    @validate_call(config=CALL_RULES)
    def list_assets(
        request: gr.Request,
        kind: str | None = None,
        job_type: str | None = None,
        search: str | None = None,
        favourite: bool | None = None,
        project: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Json:
        """One's own assets, newest first: {"items": [...], "next": cursor of the following page or None}."""
        wanted = AssetFilter(kind=kind, job_type=job_type, search=search, favourite=favourite, project=project)
        return services.library.list(acting_person(services, request), wanted, limit=limit, cursor=cursor)

    @calls.short(tuple[Json, gr.FileData])
    @validate_call(config=CALL_RULES)
    def get_asset(request: gr.Request, asset_id: str) -> tuple[Json, Json]:
        """One asset and its file: (asset, file), the file as a local path."""
        asset = services.library.get(acting_person(services, request), asset_id)
        # A plain dict, since Gradio would look for a FileData that stands alone among the files of its own cache.
        return asset, _file(asset["id"], asset["mime_type"].rpartition("/")[2])

    @calls.short()
    @validate_call(config=CALL_RULES)
    def delete_asset(request: gr.Request, asset_id: str) -> Json:
        """Move an asset to the trash."""
        return services.library.delete(acting_person(services, request), asset_id)


def acting_person(services: Services, request: gr.Request) -> Person:
    """The person in whose name a client calls. Raises SignInNeeded."""
    return services.person_for(request)


def _file(asset_id: str, extension: str) -> Json:
    """An asset's file as gradio_client looks for it: under /gradio_api/file=asset/<id>.<extension>."""
    name = f"{asset_id}.{extension}"
    return {"path": f"asset/{name}", "orig_name": name}


def _order_fields(arguments: Mapping[str, Any]) -> Json:
    """Those of a call's arguments that are fields of an order."""
    return {name: arguments[name] for name in Order.model_fields if name in arguments}


def _known_id(value: Any) -> Any:
    """The id in an image argument. A file has none yet; anything else is left for the order to refuse."""
    return None if isinstance(value, dict) or value == "" else value
