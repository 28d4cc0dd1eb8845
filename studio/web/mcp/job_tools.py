"""Tools that order jobs and look after them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from anyio import move_on_after, to_thread
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult, ToolAnnotations

from studio.catalog import RANDOM_SEED
from studio.orders import DEFAULT_JOB_TYPE, Order
from studio.services.container import Services
from studio.services.following import follow_job
from studio.web.mcp import arguments as arg
from studio.web.mcp.answers import Catalog, Made, Shelf, brief, linked, result
from studio.web.mcp.calls import Call, call_of
from studio.web.models import EnhancedPrompt, JobAnswer, Page
from studio.web.stopping import Stopping

MAX_WAIT_S = 600.0
"""How long `generate` waits for its job; then it answers with the job as it stands."""
DEFAULT_ITEMS = 10
"""Items a page where the assistant does not say: an answer is read as a whole."""
LOOKS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ORDERS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
STOPS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
Json = dict[str, Any]
Tell = Callable[[float, float, str], Awaitable[None]]
"""Takes how far a job is, of how much, and where it stands in words."""


@dataclass(frozen=True, kw_only=True)
class JobDesk:
    """Orders jobs, follows them and shows what they made."""

    services: Services
    stopping: Stopping
    shelf: Shelf
    max_wait_s: float = MAX_WAIT_S

    def submit(self, call: Call, arguments: Mapping[str, Any]) -> Json:
        """Order a job. `arguments` holds an order's fields, among others. Blocks."""
        fields = {name: arguments[name] for name in Order.model_fields if name in arguments}
        return self.services.jobs.submit(call.person, Order.parse(fields))

    async def follow(self, call: Call, job: Json, tell: Tell) -> Json:
        """The job once it has ended, or as it stands when the wait or the studio ends. Raises SignInNeeded once the
        caller's key does not hold any more."""
        told = -1.0
        states = follow_job(self.services.feed, self.services.jobs, call.person, job["id"])
        with move_on_after(self.max_wait_s):
            async with aclosing(self.stopping.cut_short(states)) as cut:
                async for state in cut:
                    # A key may be revoked while the job runs: then nothing more is told.
                    await to_thread.run_sync(self.services.person_for, call.request)
                    job = state
                    fraction = job["progress"]["fraction"]
                    if fraction > told:  # as the protocol demands of progress
                        told = fraction
                        await tell(fraction, 1.0, where_it_stands(job))
        return job

    def made(self, call: Call, job: Json) -> CallToolResult:
        """The job and what it made. Blocks."""
        assets = [linked(self.services.library.get(call.person, one), call) for one in job["assets"]]
        return result({"job": brief(job), "assets": assets}, *self.shelf.shown(call, assets))


def add_job_tools(server: MCPServer, desk: JobDesk) -> None:
    """Add every tool of this module to `server`."""
    _add_ordering(server, desk)
    _add_jobs(server, desk.services)
    _add_prompts(server, desk.services)


def _add_ordering(server: MCPServer, desk: JobDesk) -> None:
    @server.tool(title="Make pictures or a film", annotations=ORDERS)
    async def generate(
        *,
        context: Context,
        prompt: arg.Prompt,
        job_type: arg.JobTypeName = DEFAULT_JOB_TYPE,
        negative_prompt: arg.NegativePrompt = "",
        width: arg.Width = None,
        height: arg.Height = None,
        steps: arg.Steps = None,
        guidance: arg.Guidance = None,
        seed: arg.Seed = RANDOM_SEED,
        count: arg.Count = None,
        image: arg.Reference = None,
        mask: arg.Mask = None,
        strength: arg.Strength = None,
        project: arg.Project = None,
    ) -> Annotated[CallToolResult, Made]:
        """Make pictures or a film from a prompt and wait for them, up to ten minutes. Answers with the job, with small
        copies of the pictures (of a film its poster) and links to the originals. Look at job.status: a failed job says
        why in job.error, and one that still runs goes on: look at it with get_job. Going away does not cancel it."""
        fields = locals()
        call = call_of(context, "generate")
        job = await to_thread.run_sync(desk.submit, call, fields)
        ended = await desk.follow(call, job, context.report_progress)
        return await to_thread.run_sync(desk.made, call, ended)

    @server.tool(title="Order pictures or a film", annotations=ORDERS)
    def submit_job(
        *,
        context: Context,
        prompt: arg.Prompt,
        job_type: arg.JobTypeName = DEFAULT_JOB_TYPE,
        negative_prompt: arg.NegativePrompt = "",
        width: arg.Width = None,
        height: arg.Height = None,
        steps: arg.Steps = None,
        guidance: arg.Guidance = None,
        seed: arg.Seed = RANDOM_SEED,
        count: arg.Count = None,
        image: arg.Reference = None,
        mask: arg.Mask = None,
        strength: arg.Strength = None,
        project: arg.Project = None,
    ) -> Annotated[CallToolResult, JobAnswer]:
        """Order pictures or a film as generate does, without waiting: answers with the job at once. get_job tells how
        it stands; when it is completed, get_asset shows each of its assets."""
        return result(brief(desk.submit(call_of(context, "generate"), locals())))


def _add_jobs(server: MCPServer, services: Services) -> None:
    @server.tool(title="Look at a job", annotations=LOOKS)
    def get_job(context: Context, job_id: arg.JobId) -> Annotated[CallToolResult, JobAnswer]:
        """A job as it stands: status (pending, processing, completed, failed, cancelled), progress, the ids of its
        assets, and its receipt."""
        return result(services.jobs.get(call_of(context, "read").person, job_id))

    @server.tool(title="Cancel a job", annotations=STOPS)
    def cancel_job(context: Context, job_id: arg.JobId) -> Annotated[CallToolResult, JobAnswer]:
        """Cancel a job: at once if it waits, at its next step if it runs."""
        return result(brief(services.jobs.cancel(call_of(context, "generate").person, job_id)))

    @server.tool(title="Try a job again", annotations=ORDERS)
    def retry_job(context: Context, job_id: arg.JobId) -> Annotated[CallToolResult, JobAnswer]:
        """Queue a failed or cancelled job once more, with the same settings and seed."""
        return result(brief(services.jobs.retry(call_of(context, "generate").person, job_id)))

    @server.tool(title="List jobs", annotations=LOOKS)
    def list_jobs(
        context: Context,
        status: arg.JobStatus = None,
        job_type: arg.OfJobType = None,
        limit: arg.Limit = DEFAULT_ITEMS,
        cursor: arg.Cursor = None,
    ) -> Annotated[CallToolResult, Page[JobAnswer]]:
        """One's own jobs, newest first. `next` is the cursor of the following page, null on the last."""
        person = call_of(context, "read").person
        page = services.jobs.list(person, status=status, job_type=job_type, limit=limit, cursor=cursor)
        return result({**page, "items": [brief(job) for job in page["items"]]})


def _add_prompts(server: MCPServer, services: Services) -> None:
    @server.tool(title="List what can be made", annotations=LOOKS)
    def job_types(context: Context) -> Annotated[CallToolResult, Catalog]:
        """Every job type with its defaults, limits and sizes."""
        call_of(context, "read")
        return result({"items": services.catalog.as_json()})

    @server.tool(title="Write a prompt out", annotations=ORDERS)
    async def enhance_prompt(
        context: Context, prompt: arg.Prompt, kind: arg.Kind = "video"
    ) -> Annotated[CallToolResult, EnhancedPrompt]:
        """Write a short prompt out in more detail, for a film or a picture. Takes seconds. Where the rewriting was
        unusable `enhanced_prompt` is null and `note` says why."""
        return result(await services.enhancing.enhance(call_of(context, "generate").person, prompt, kind))


def where_it_stands(job: Json) -> str:
    """Where a job stands, for the person who waits."""
    ahead = job["progress"]["queue_position"]
    if job["status"] != "pending" or not ahead:
        return str(job["stage"])
    return "1 job ahead" if ahead == 1 else f"{ahead} jobs ahead"
