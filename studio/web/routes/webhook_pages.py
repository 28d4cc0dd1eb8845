"""One's webhooks as a page: add, test, send again, switch off, remove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError

from studio.errors import Conflict, InvalidInput, StudioError
from studio.people import Person
from studio.services.webhooks.events import JOB_EVENTS
from studio.services.webhooks.parts import Webhooks
from studio.services.webhooks.service import NewWebhook, WebhookChange
from studio.web.dependencies import Acting, PartsOf
from studio.web.forms import FormOf
from studio.web.pages.rendering import page
from studio.web.pages.routing import PageRoute, see
from studio.web.routes.webhooks import WebhooksOf

router = APIRouter(prefix="/account/webhooks", route_class=PageRoute, include_in_schema=False)

SHOWN_DELIVERIES = 20
HERE = "/account/webhooks"
SAVED = {
    "test": "The test is on its way. Load the page again to see what came of it.",
    "again": "It is sent again. Load the page again to see what came of it.",
    "active": "Done.",
    "removed": "The webhook is removed, with the log of its deliveries.",
}
NOTHING_TYPED = {"url": "", "description": "", "events": JOB_EVENTS}
EVENT_WORDS = {"job.completed": "completed", "job.failed": "failed", "job.cancelled": "cancelled"}


@dataclass(frozen=True, kw_only=True)
class WebhookPage:
    """Draws the page of one person's webhooks. In local mode there is no account to lead back to."""

    request: Request
    webhooks: Webhooks
    person: Person
    is_local: bool

    def draw(self, error: StudioError | None = None, *, good: str = "", **values: Any) -> Response:
        """The page as things stand. Blocks."""
        guest = self.person.role == "guest"
        log = {"items": []} if guest else self.webhooks.deliveries.list(self.person, limit=SHOWN_DELIVERIES)
        return page(
            self.request,
            "webhooks.html",
            status=200 if error is None else error.status,
            person=self.person,
            is_local=self.is_local,
            webhooks=[] if guest else self.webhooks.service.list(self.person),
            deliveries=log["items"],
            events=EVENT_WORDS,
            error=error,
            good=good,
            **{"new": None, "typed": NOTHING_TYPED, **values},
        )


def _page(request: Request, webhooks: WebhooksOf, person: Acting, parts: PartsOf) -> WebhookPage:
    return WebhookPage(request=request, webhooks=webhooks, person=person, is_local=parts.accounts is None)


Shown = Annotated[WebhookPage, Depends(_page)]


@router.get("")
def webhooks_page(shown: Shown, saved: str = "") -> Response:
    """The webhooks and their latest deliveries."""
    return shown.draw(good=SAVED.get(saved, ""))


@router.post("")
def make_webhook(form: FormOf, shown: Shown) -> Response:
    """Make a webhook and show its secret, this once."""
    typed = {"url": form.text("url").strip(), "description": form.text("description"), "events": form.all("events")}
    try:
        secret, webhook = shown.webhooks.service.create(shown.person, _new(typed))
    except StudioError as error:
        return shown.draw(error, typed=typed)
    return shown.draw(new={"url": webhook["url"], "secret": secret})


@router.post("/{webhook_id}/secret")
def change_secret(webhook_id: str, shown: Shown) -> Response:
    """Change a webhook's secret and show it, this once."""
    secret, webhook = shown.webhooks.service.rotate(shown.person, webhook_id)
    return shown.draw(new={"url": webhook["url"], "secret": secret})


@router.post("/{webhook_id}/test")
def send_test(webhook_id: str, shown: Shown) -> Response:
    """Send a ping."""
    try:
        shown.webhooks.service.test(shown.person, webhook_id)
    except Conflict as error:
        return shown.draw(error)
    return see(f"{HERE}?saved=test")


@router.post("/{webhook_id}/active")
def switch(webhook_id: str, form: FormOf, shown: Shown) -> Response:
    """Switch a webhook off or on."""
    change = WebhookChange(active=form.text("active") == "yes")
    shown.webhooks.service.change(shown.person, webhook_id, change)
    return see(f"{HERE}?saved=active")


@router.post("/{webhook_id}/remove")
def remove_webhook(webhook_id: str, shown: Shown) -> Response:
    """Remove a webhook."""
    shown.webhooks.service.remove(shown.person, webhook_id)
    return see(f"{HERE}?saved=removed")


@router.post("/deliveries/{delivery_id}/again")
def send_again(delivery_id: str, shown: Shown) -> Response:
    """Send a delivery again."""
    shown.webhooks.deliveries.redeliver(shown.person, delivery_id)
    return see(f"{HERE}?saved=again")


def _new(typed: dict[str, Any]) -> NewWebhook:
    """The webhook that a form asks for. Raises InvalidInput."""
    try:
        return NewWebhook.model_validate(typed)
    except ValidationError as wrong:
        field = str(wrong.errors()[0]["loc"][0])
        sentences = {
            "url": "Write the address that is to be told.",
            "events": f"Choose one or more of: {', '.join(EVENT_WORDS[event] for event in JOB_EVENTS)}.",
            "description": "The description is too long.",
        }
        raise InvalidInput(sentences[field], field=field) from None
