"""What the doctor asks of the studio's settings: people, address, folders, database, storage, models."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx
from alembic.runtime.migration import MigrationContext
from huggingface_hub import get_token, try_to_load_from_cache
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from pipelines.checkpoints import Checkpoint, Kind
from pipelines.contract import ModelMissing
from studio.commands.findings import Finding, State, advice, folder_finding, ok, problem
from studio.commands.units import gigabytes
from studio.database.postgres import with_driver
from studio.errors import StorageFailed
from studio.media.storage import MediaStorage
from studio.models import checkpoint_of, lanes_of
from studio.settings import Settings, cuda_is_likely

ANSWER_S = 3.0
"""How long whoever holds the port may take to say whether it is a studio."""


def studio_findings(settings: Settings) -> Iterator[Finding]:
    """Look at what the settings name, one finding after the other. Nothing is made or changed."""
    yield _people(settings)
    yield _address(settings)
    yield folder_finding("Data folder", settings.data_path, "Set STUDIO_DATA_DIR to a folder that can be written to.")
    yield _database(settings)
    yield _storage(settings)
    elsewhere = "To pull models, set STUDIO_MODELS_DIR to a folder that can be."
    yield folder_finding("Models folder", settings.models_path, elsewhere, State.ADVICE)
    for lane in lanes_of(settings):
        yield from _model(settings, lane)
    yield ok("Hub token", "is set" if get_token() else "is not set; only gated and private models need one (HF_TOKEN)")


def _people(settings: Settings) -> Finding:
    if settings.auth_mode == "local":
        return ok("People", "one person without sign-in, on this machine alone")
    what = "guests, and accounts" if settings.auth_mode == "guest" else "email and password"
    secret = "as set" if settings.secret_key else "made once, in the data folder"
    return ok("People", f"{what}; accounts are made by sign-up ({settings.signup}); secret key: {secret}")


def _address(settings: Settings) -> Finding:
    host, port = settings.listen_host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with closing(socket.socket(family)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn: what just ended is not in the way
            probe.bind((host.strip("[]"), port))
    except OSError as error:
        if _is_a_studio(f"http://127.0.0.1:{port}/healthz"):
            return ok("Address", f"{settings.address}: a studio is running there")
        return problem("Address", f"{host}:{port} cannot be listened on: {error.strerror}.", "Set STUDIO_PORT.")
    return ok("Address", f"{settings.address}, free")


def _is_a_studio(url: str) -> bool:
    try:
        return httpx.get(url, timeout=ANSWER_S, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _database(settings: Settings) -> Finding:
    subject, to_do = "Database", "Check STUDIO_DATABASE_URL."
    try:
        url = with_driver(settings.database)
        if url.drivername.startswith("sqlite") and url.database and not Path(url.database).is_file():
            return folder_finding(subject, Path(url.database), to_do)
        engine = create_engine(url)
        with engine.connect() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
        engine.dispose()
    except (SQLAlchemyError, OSError, ImportError) as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        return problem(subject, f"cannot be used: {reason}.", to_do)
    shown = url.render_as_string(hide_password=True)
    return ok(subject, f"{shown}, {f'at {revision}' if revision else 'empty: tables are made at the first start'}")


def _storage(settings: Settings) -> Finding:
    subject, to_do = "Storage", "Check STUDIO_STORAGE_URL."
    parts = urlsplit(settings.storage)
    if parts.scheme == "file":
        return folder_finding(subject, Path(url2pathname(parts.path)), to_do)
    try:
        MediaStorage(settings.storage)
    except StorageFailed as error:
        return problem(subject, str(error), to_do)
    return ok(subject, f"{parts.scheme}://{parts.hostname}{parts.path}")


def _model(settings: Settings, lane: str) -> Iterator[Finding]:
    subject = f"Model {lane}"
    try:
        checkpoint = checkpoint_of(settings, lane)
    except ModelMissing as error:
        yield problem(subject, "cannot be used.", str(error))
        return
    if checkpoint.kind is not Kind.HUB:
        yield ok(subject, f"{checkpoint.name}, {gigabytes(_size(Path(checkpoint.location)))}")
    elif _is_cached(checkpoint, settings.models_path):
        yield ok(subject, f"{checkpoint.name}, in the download cache of the models folder")
    else:
        yield advice(
            subject,
            f"{checkpoint.name} is not here yet: its first job would wait for the download.",
            f"Run `python app.py pull {lane}`.",
        )
    if not checkpoint.demo and not cuda_is_likely():
        yield advice(
            subject,
            "has the full size and there is no GPU: a job takes minutes to hours.",
            "Or set STUDIO_MODELS=demo.",
        )


def _size(location: Path) -> int:
    files = [location] if location.is_file() else location.rglob("*.safetensors")
    return sum(path.stat().st_size for path in files)


def _is_cached(checkpoint: Checkpoint, models_path: Path) -> bool:
    """Whether a worker has downloaded the checkpoint already, to the end as far as its configs tell."""
    first = "config.json" if checkpoint.role == "qwen" else "model_index.json"
    return isinstance(try_to_load_from_cache(checkpoint.location, first, cache_dir=models_path), str)
