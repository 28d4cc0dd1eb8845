"""The workspace's feed: a live strip a job, newest first."""

from __future__ import annotations

from typing import ClassVar

from studio.ui.components.json_view import JsonView


class JobFeed(JsonView):
    """Value: the JSON of the job just submitted, shown at once; the feed finds the others itself.

    Raises `reuse` {"job_id", "seed"?} to fill the composer from a job and `example` {"prompt"} from the empty state.
    """

    MODULE: ClassVar[str] = "feed.js"
    RAISES: ClassVar[tuple[str, ...]] = ("reuse", "example")
