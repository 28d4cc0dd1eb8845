"""The studio's own style sheets and scripts under /static, beside Gradio's."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.responses import Response
from starlette.routing import Match, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope


class RevalidatedFiles(StaticFiles):
    """Static files that the browser asks about before it uses its copy: after an update nobody sees old scripts."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        return response


class OwnFiles(Mount):
    """Answers for the files that exist in `folder` and leaves every other path to the routes after it, since Gradio
    serves its own fonts and scripts from /static as well."""

    def __init__(self, path: str, folder: Path) -> None:
        self.files = RevalidatedFiles(directory=folder, check_dir=False)
        super().__init__(path, app=self.files, name="static")

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        if match is Match.FULL:
            _, found = self.files.lookup_path(self.files.get_path({**scope, **child}))
            if found is None:
                return Match.NONE, {}
        return match, child
