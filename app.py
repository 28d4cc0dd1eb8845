"""OurVidz Studio. `python app.py` starts it; everything is set by environment variables (see README.md)."""

from __future__ import annotations

import logging
import os
import sys

from pydantic import ValidationError

from pipelines.contract import ModelMissing
from studio import VERSION, commands
from studio.errors import StorageFailed
from studio.logs import configure_logging
from studio.settings import Settings, environment_name


def main() -> None:
    arguments = commands.parser().parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit("\n".join(f"{environment_name(one['loc'])}: {one['msg']}" for one in error.errors()))
    if arguments.command:
        sys.exit(commands.run(arguments, settings))
    try:
        configure_logging(settings.data_path / "logs", settings.log_level)
    except OSError as error:
        sys.exit(f"The data folder cannot be used: {error}. Set STUDIO_DATA_DIR.")
    # Before Gradio is imported: its uploads and caches stay inside the data folder, and it reports to nobody.
    os.environ["GRADIO_TEMP_DIR"] = str(settings.data_path / "gradio")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "100"  # it tabulates this many past events after each one

    from studio.bootstrap import CannotStart, build  # noqa: PLC0415
    from studio.serving import serve  # noqa: PLC0415

    try:
        studio = build(settings)
    except (CannotStart, ModelMissing, StorageFailed) as error:
        sys.exit(str(error))
    logging.getLogger("studio").info("OurVidz Studio %s: open %s", VERSION, settings.address)
    serve(studio)


if __name__ == "__main__":
    main()
