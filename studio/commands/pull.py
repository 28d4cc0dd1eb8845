"""`python app.py pull`: the real checkpoints, downloaded once to the models folder and halved where they are float32.

Everything is made below `<models>/.pulling` and moved to its place when it is whole, so a checkpoint in the models
folder is never half there. After an interruption run it again: what was downloaded stays, at the commit it began with.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from pipelines.checkpoints import Kind, resolve
from pipelines.contract import ModelMissing
from studio.commands.downloading import download, present_bytes
from studio.commands.hub import HubCheckpoint, PullFailed, look_up
from studio.commands.processes import run_module
from studio.commands.units import gigabytes
from studio.pulled_models import PulledNote, find_pulled, folder_for, read_note, write_note
from studio.settings import Settings

logger = logging.getLogger(__name__)

KEPT_FREE_BYTES = 2_000_000_000
"""What a pull leaves free on the disk: room for the studio's own files, and for what a file system keeps for itself."""
EXIT_INTERRUPTED = 130
"""What shells report of a program that Ctrl+C ended."""
_WORKSHOP = ".pulling"
_LOCK = "lock"
_HALVED = ".bfloat16"


def main(settings: Settings, roles: Sequence[str], *, dry_run: bool) -> int:
    """Pull the checkpoints of `roles` and return the exit code: 0, or 1 after a sentence that says what to do."""
    try:
        wanted = _wanted(settings, roles)
        models = settings.models_path
        checkpoints = [look_up(role, hub_id, _begun_revision(models, hub_id)) for role, hub_id in wanted.items()]
        room = room_needed({checkpoint: _present(models, checkpoint) for checkpoint in checkpoints})
        _announce(models, checkpoints, room)
        _check_room(models, room)
        if not dry_run:
            _tidy(models)
            _pull_all(models, checkpoints)
    except PullFailed as error:
        logger.debug("pull failed", exc_info=error)
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        logger.debug("pull failed", exc_info=error)
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        print("The disk is full. Free some space and pull again." if full else f"{error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. What was downloaded stays: run this again to go on.", file=sys.stderr)
        return EXIT_INTERRUPTED
    if settings.uses_demo_models:
        print("This studio is set to the demo models. STUDIO_MODELS=full makes it use the real ones.")
    return 0


def room_needed(present: Mapping[HubCheckpoint, int]) -> int:
    """Return the bytes that pulling the checkpoints one after the other needs at its worst moment.

    `present` maps each to the bytes of it that are on the disk already. The float32 original of a converted one is
    deleted before the next is begun.
    """
    held = worst = 0
    for checkpoint, there in present.items():
        worst = max(worst, held + checkpoint.bytes - there + checkpoint.conversion_bytes)
        held += checkpoint.final_bytes - there
    return max(worst, 0)


def _wanted(settings: Settings, roles: Iterable[str]) -> dict[str, str]:
    """The hub ids to pull by role; says why of those that are not."""
    named = {"sdxl": settings.sdxl_model, "wan": settings.wan_model, "qwen": settings.qwen_model}
    wanted: dict[str, str] = {}
    for role in roles:
        if role not in named:
            raise PullFailed(f"There is no role {role!r}. Roles are {', '.join(named)}.")
        try:
            checkpoint = resolve(role, named[role] or "full")
        except ModelMissing as error:
            raise PullFailed(str(error)) from error
        if checkpoint.kind is not Kind.HUB:
            print(f"{role}: uses {checkpoint.location}, which is here already.")
        elif pulled := find_pulled(settings.models_path, checkpoint.location):
            print(f"{role}: {checkpoint.location} is here already, in {pulled}.")
        else:
            wanted[role] = checkpoint.location
    return wanted


def _announce(models: Path, checkpoints: Sequence[HubCheckpoint], room: int) -> None:
    for checkpoint in checkpoints:
        there = _present(models, checkpoint)
        line = f"{checkpoint.role}: {checkpoint.hub_id}, {gigabytes(checkpoint.bytes)} to download"
        if there:
            line += f", {gigabytes(there)} of them here already"
        if checkpoint.conversion_bytes:
            line += f", {gigabytes(checkpoint.final_bytes)} once it is in bfloat16"
        print(f"{line}.")
    if checkpoints:
        free = shutil.disk_usage(_existing(models)).free
        print(f"Into {models}: {gigabytes(room)} more at the worst moment, and {gigabytes(free)} are free.", flush=True)


def _check_room(models: Path, room: int) -> None:
    free = shutil.disk_usage(_existing(models)).free
    if room and room + KEPT_FREE_BYTES > free:
        raise PullFailed(
            f"The disk is too small: this needs {gigabytes(room)} and {gigabytes(KEPT_FREE_BYTES)} to spare, and "
            f"{gigabytes(free)} are free in {models}. Free some space, set STUDIO_MODELS_DIR to a larger disk, or "
            f"name the roles to pull (sdxl, wan, qwen)."
        )


def _tidy(models: Path) -> None:
    """Remove what a pull left that was killed between giving a checkpoint its place and deleting its original."""
    for folder in (models / _WORKSHOP).glob("*@*"):
        if read_note(models / folder.name.partition("@")[0]) is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _pull_all(models: Path, checkpoints: Sequence[HubCheckpoint]) -> None:
    if not checkpoints:
        return
    workshop = models / _WORKSHOP
    workshop.mkdir(parents=True, exist_ok=True)
    with (workshop / _LOCK).open("w") as lock:
        _hold(lock)
        for checkpoint in checkpoints:
            _pull(models, checkpoint)
    with suppress(OSError):  # other pulls may wait here to be taken up again
        (workshop / _LOCK).unlink()
        workshop.rmdir()


def _hold(lock: TextIO) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise PullFailed("Another pull into this folder is running. Wait for it, or stop it.") from error
    except OSError as error:
        logger.info("%s cannot be locked: %s", lock.name, error)  # some network file systems have no locks


def _pull(models: Path, checkpoint: HubCheckpoint) -> None:
    final = folder_for(models, checkpoint.hub_id)
    if final.exists():
        raise PullFailed(f"{final} is in the way: it was not made by a pull. Move it elsewhere and pull again.")
    fetched = _fetched_folder(models, checkpoint.hub_id, checkpoint.revision)
    ready = fetched
    download(checkpoint, fetched)
    if checkpoint.conversion_bytes:
        ready = fetched.with_name(fetched.name + _HALVED)
        if not ready.exists():
            _convert(fetched, ready)
    try:
        resolve(checkpoint.role, ready)
    except ModelMissing as error:
        raise PullFailed(f"{checkpoint.hub_id} was downloaded, but cannot be used. {error}") from error
    note = PulledNote(hub_id=checkpoint.hub_id, revision=checkpoint.revision, converted=ready != fetched)
    write_note(ready, note)
    ready.rename(final)
    if fetched != ready:
        shutil.rmtree(fetched)
    print(f"{checkpoint.role}: {checkpoint.hub_id} is ready in {final}.", flush=True)


def _convert(source: Path, target: Path) -> None:
    done = run_module("pipelines.conversion", str(source), str(target))
    if done.exit_code:
        logger.debug("conversion failed:\n%s", done.complaint)
        raise PullFailed(done.last_complaint or f"Converting ended with code {done.exit_code}. Pull again.")


def _fetched_folder(models: Path, hub_id: str, revision: str) -> Path:
    return models / _WORKSHOP / f"{folder_for(models, hub_id).name}@{revision}"


def _begun_revision(models: Path, hub_id: str) -> str | None:
    """The commit that an earlier, interrupted pull was at: its files fit together, whatever has come since."""
    name = re.compile(re.escape(folder_for(models, hub_id).name) + "@([0-9a-f]{40})")
    workshop = models / _WORKSHOP
    begun = [
        match[1] for path in (workshop.iterdir() if workshop.is_dir() else ()) if (match := name.fullmatch(path.name))
    ]
    return begun[0] if begun else None


def _present(models: Path, checkpoint: HubCheckpoint) -> int:
    return present_bytes(checkpoint, _fetched_folder(models, checkpoint.hub_id, checkpoint.revision))


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
