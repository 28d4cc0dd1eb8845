"""What `python app.py` can do besides serving: one module a command, each imported only when it is asked for."""

from __future__ import annotations

import argparse
import logging
import os

from studio import VERSION
from studio.settings import Settings

CARDS = ("48", "24", "16", "12", "cpu")
ROLES = ("sdxl", "wan", "qwen")


def parser() -> argparse.ArgumentParser:
    """The command line. Without a command the studio is served."""
    described = "OurVidz Studio. Without a command it serves. Settings are environment variables: see README.md."
    line = argparse.ArgumentParser(description=described)
    line.add_argument("--version", action="version", version=f"OurVidz Studio {VERSION}")
    commands = line.add_subparsers(dest="command", metavar="command")

    plan = commands.add_parser("plan", help="what a card of any size keeps in memory, and how each job runs on it")
    plan.add_argument(
        "--vram", default=CARDS[0], metavar="GB", help=f"the card's memory: {', '.join(CARDS)}, or any number of GB"
    )

    pull = commands.add_parser("pull", help="download the real models once, and halve those that come in float32")
    pull.add_argument("roles", nargs="*", metavar="role", help=f"only these of {', '.join(ROLES)}")
    pull.add_argument("--dry-run", action="store_true", help="say what would be downloaded, and whether it fits")

    commands.add_parser("doctor", help="what is found, what is missing and what to do")
    return line


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what `arguments` ask for, and return the program's exit code."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before the library is imported: it reports to nobody
    logging.basicConfig(
        level=settings.log_level if settings.log_level == "DEBUG" else "WARNING",
        format="%(levelname)s %(name)s: %(message)s",
    )
    if arguments.command == "plan":
        from studio.commands.plan import main as plan  # noqa: PLC0415

        plan(arguments.vram, settings)
        return 0
    if arguments.command == "pull":
        from studio.commands.pull import main as pull  # noqa: PLC0415

        return pull(settings, tuple(arguments.roles) or ROLES, dry_run=arguments.dry_run)
    from studio.commands.doctor import main as doctor  # noqa: PLC0415

    return doctor(settings)
