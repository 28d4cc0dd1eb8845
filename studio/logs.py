"""Where the log goes: the terminal, and a file in the data folder that is rolled over before it grows large. Neither
gets to see a secret."""

from __future__ import annotations

import logging
import logging.config
from pathlib import Path

MAX_LOG_BYTES = 10_000_000
KEPT_LOGS = 3
QUIET_LOGGERS = ("httpx", "httpcore", "alembic", "PIL", "mcp", "multipart", "uvicorn.access")
"""These say every request or step at INFO; what they warn of still shows."""


def configure_logging(folder: Path, level: str) -> None:
    """Set up the root logger once, at start. Makes `folder`; raises OSError where that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": "studio.masking.MaskingFormatter",
                    "format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s",
                }
            },
            "handlers": {
                "terminal": {"class": "logging.StreamHandler", "formatter": "line"},
                "file": {
                    "class": "logging.handlers.RotatingFileHandler",
                    "formatter": "line",
                    "filename": str(folder / "studio.log"),
                    "maxBytes": MAX_LOG_BYTES,
                    "backupCount": KEPT_LOGS,
                    "encoding": "utf-8",
                },
            },
            "root": {"level": level, "handlers": ["terminal", "file"]},
            "loggers": {name: {"level": "WARNING"} for name in QUIET_LOGGERS},
        }
    )
