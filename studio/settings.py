"""Every environment variable of the studio, read once into one frozen object.

Names and meanings are fixed in the README's table; a test holds the two together.
"""

from __future__ import annotations

import ipaddress
import shutil
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL

from pipelines.acceleration import AttentionSwitch, CacheSwitch, CompileSwitch, DtypeSwitch
from studio.secret_key import is_webhook_secret

SPACE_DATA_DIR = Path("/data")
"""Where a Hugging Face Space mounts its persistent storage."""
RUNPOD_VOLUME_DIR = Path("/workspace")
"""Where RunPod mounts the network volume of a pod."""

AuthMode = Literal["local", "accounts", "guest"]


def _split(value: object) -> object:
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Several values in one variable, separated by commas."""
Networks = Annotated[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...], NoDecode, BeforeValidator(_split)]
"""Several networks, such as 10.1.0.0/16, separated by commas."""


class Settings(BaseSettings):
    """The studio's settings. Raises pydantic's ValidationError, in words, for a value that cannot be used."""

    model_config = SettingsConfigDict(env_prefix="STUDIO_", frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field(
        "", validation_alias=AliasChoices("STUDIO_HOST", "GRADIO_SERVER_NAME"), description="address to listen on"
    )
    port: int = Field(
        7860, ge=0, le=65535, validation_alias=AliasChoices("STUDIO_PORT", "GRADIO_SERVER_PORT"), description="port"
    )
    auth: AuthMode | None = Field(None, description="who may come in: `local` is one person without sign-in")
    signup: Literal["open", "invite", "closed"] = Field("invite", description="who may make an account")
    admin_email: str | None = Field(None, description="address of the first admin, made at start")
    admin_password: SecretStr | None = Field(None, description="the first admin's password")
    supabase_url: str | None = Field(None, description="the Supabase project whose people may sign in")
    supabase_emails_confirmed: bool = Field(
        False, description="the project lets nobody in whose address is not confirmed"
    )
    secret_key: SecretStr | None = Field(None, min_length=16, description="signs sessions, links and webhooks")
    worker_secret: SecretStr | None = Field(None, description="signs what workers on other machines report")
    trusted_proxies: CommaList = Field((), description="addresses of proxies whose X-Forwarded-For is believed")
    data_dir: Path | None = Field(None, description="database, media, logs and scratch files")
    database_url: str | None = Field(None, description="SQLAlchemy URL of the database")
    storage_url: str | None = Field(None, description="where media lie, `file://…`")
    models: Literal["demo", "full", "auto"] = Field("auto", description="which checkpoints: `auto` is `full` on CUDA")
    sdxl_model: str | None = Field(None, description="folder, single file or hub id of the SDXL checkpoint")
    sdxl_few_step: str | None = Field(None, description="distilled UNet (folder or file) that makes `fast` jobs faster")
    sdxl_workers: int = Field(1, ge=1, le=8, description="worker processes of the SDXL lane")
    wan_model: str | None = Field(None, description="folder or hub id of the WAN checkpoint")
    wan_few_step: str | None = Field(None, description="distilled LoRA or transformer that makes `fast` films faster")
    wan_workers: int = Field(1, ge=1, le=8, description="worker processes of the WAN lane")
    qwen_model: str | None = Field(None, description="folder or hub id of the Qwen checkpoint that rewrites prompts")
    qwen_quantization: Literal["8bit", "4bit"] | None = Field(
        None, description="loads Qwen in 8 or 4 bits, where memory is short"
    )
    qwen_workers: int = Field(1, ge=1, le=8, description="worker processes of the Qwen lane")
    device_budget_gb: float | None = Field(
        None, gt=0, description="gigabytes (10^9 bytes) of each device that models and runs may take"
    )
    enhance_language: Literal["en", "zh"] = Field("en", description="language of rewritten prompts")
    dtype: DtypeSwitch = Field("auto", description="precision that all models compute in")
    attention: AttentionSwitch = Field("auto", description="how SDXL and WAN compute attention; `auto` is torch's own")
    cache: CacheSwitch = Field("auto", description="what films reuse from step to step, and whether SDXL ends guidance")
    compile: CompileSwitch = Field("auto", description="whether SDXL and WAN are compiled at their first job")
    models_dir: Path | None = Field(None, description="where downloaded checkpoints are kept")
    public_url: str | None = Field(None, description="the address people use, when behind a proxy")
    allowed_origins: CommaList = Field((), description="further origins that may call the API from a browser")
    webhook_networks: Networks = Field((), description="private networks that webhooks may call")
    banned_terms: CommaList = Field((), description="terms that the content policy refuses besides its own")
    gpu_hour_price: float | None = Field(None, ge=0, description="what an hour of the GPU costs")
    currency: str = Field("USD", min_length=1, max_length=8, description="of the GPU's price")
    worker_idle_exit_s: float = Field(900.0, gt=0, description="a worker idle this long exits and frees its memory")
    stop_grace_s: float = Field(
        20.0, ge=0, description="seconds a running job may take to finish when the studio stops"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="how much is logged")

    space_id: str | None = Field(None, validation_alias="SPACE_ID", description="set by Hugging Face on a Space")
    space_hosts: CommaList = Field((), validation_alias="SPACE_HOST", description="set by Hugging Face on a Space")
    oauth_client_id: str | None = Field(None, validation_alias="OAUTH_CLIENT_ID", description="set on a Space")
    oauth_client_secret: SecretStr | None = Field(
        None, validation_alias="OAUTH_CLIENT_SECRET", description="set on a Space"
    )
    oauth_scopes: str = Field("openid profile", validation_alias="OAUTH_SCOPES", description="set on a Space")
    openid_provider_url: str = Field(
        "https://huggingface.co", validation_alias="OPENID_PROVIDER_URL", description="set on a Space"
    )
    runpod_pod_id: str | None = Field(None, validation_alias="RUNPOD_POD_ID", description="set by RunPod on a pod")

    @field_validator("public_url", "supabase_url", "openid_provider_url")
    @classmethod
    def _without_trailing_slash(cls, value: str | None) -> str | None:
        return value.rstrip("/") if value else value

    @field_validator("supabase_url", "openid_provider_url")
    @classmethod
    def _https(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "")
        safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
        if value and not (parts.hostname and safe):
            raise ValueError("This is to be an https address: whoever answers there says who people are.")
        return value

    @field_validator("worker_secret")
    @classmethod
    def _is_long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not is_webhook_secret(value.get_secret_value()):
            raise ValueError(
                '"whsec_" and the base64 of 24 bytes or more is needed. Make one with: '
                'python -c "import base64, secrets; '
                "print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\""
            )
        return value

    @model_validator(mode="after")
    def _local_mode_stays_local(self) -> Self:
        if self.auth == "local" and not _is_loopback(self.listen_host):
            raise ValueError(
                f"STUDIO_AUTH=local has no sign-in and would open the studio to anyone who reaches {self.listen_host}. "
                "Set STUDIO_HOST=127.0.0.1, or STUDIO_AUTH=accounts or guest."
            )
        return self

    @property
    def listen_host(self) -> str:
        """The address to bind: everything on a Space, otherwise this machine alone."""
        return self.host or ("0.0.0.0" if self.space_id else "127.0.0.1")  # noqa: S104

    @property
    def auth_mode(self) -> AuthMode:
        """The mode in force: what was set, else guest on a Space, local on a loopback address, accounts elsewhere."""
        if self.auth is not None:
            return self.auth
        if self.space_id:
            return "guest"
        return "local" if _is_loopback(self.listen_host) else "accounts"

    @cached_property
    def data_path(self) -> Path:
        """Absolute data folder: as set, else on a mounted volume, else ./data. Not created here."""
        if self.data_dir is not None:
            return self.data_dir.expanduser().resolve()
        if self.space_id and SPACE_DATA_DIR.is_dir():
            return SPACE_DATA_DIR / "studio"
        if self.runpod_pod_id and RUNPOD_VOLUME_DIR.is_dir():
            return RUNPOD_VOLUME_DIR / "studio"
        return Path("data").resolve()

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the database."""
        if self.database_url:
            return self.database_url
        # A folder's name may hold characters that mean something in a URL.
        return URL.create("sqlite", database=str(self.data_path / "studio.db")).render_as_string()

    @property
    def storage(self) -> str:
        """URL of the media storage."""
        return self.storage_url or (self.data_path / "media").as_uri()

    @property
    def models_path(self) -> Path:
        """Where downloaded checkpoints are kept."""
        return self.models_dir.expanduser().resolve() if self.models_dir else self.data_path / "models"

    @property
    def external_url(self) -> str | None:
        """The address people use, where it is known: as set, else the Space's, else the pod's proxy on RunPod."""
        if self.public_url is None and self.space_hosts:
            return f"https://{self.space_hosts[0]}"
        if self.public_url or not self.runpod_pod_id:
            return self.public_url
        return f"https://{self.runpod_pod_id}-{self.port}.proxy.runpod.net"

    @property
    def address(self) -> str:
        """Where to open the studio in a browser."""
        return self.external_url or f"http://{self.listen_host}:{self.port}"

    @cached_property
    def uses_demo_models(self) -> bool:
        """Whether the roles without a setting of their own use the Tiny World checkpoints."""
        if self.models == "auto":
            return not cuda_is_likely()
        return self.models == "demo"


def cuda_is_likely() -> bool:
    """Whether an NVIDIA driver is installed. Asks the file system, since the web process never imports torch."""
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None


def environment_name(location: tuple[int | str, ...]) -> str:
    """The variable that a validation error is about, from pydantic's location: a field's name or its alias."""
    name = str(location[0]) if location else "settings"
    return name if name.isupper() or not location else f"STUDIO_{name.upper()}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
