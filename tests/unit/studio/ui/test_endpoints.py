"""How calls become endpoints and errors become sentences, without a server."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest
from pydantic import validate_call

from studio.errors import NotFound
from studio.ui import calls


def test_a_known_error_becomes_code_and_sentence() -> None:
    with pytest.raises(gr.Error) as refused, calls.public_errors("get_job"):
        raise NotFound("There is no such job.")
    assert refused.value.message == "not_found: There is no such job."
    assert not refused.value.print_exception


def test_a_wrong_argument_is_named() -> None:
    @validate_call
    def listed(limit: int) -> int:
        return limit

    unreadable: Any = "many"
    with pytest.raises(gr.Error) as refused, calls.public_errors("list_jobs"):
        listed(limit=unreadable)
    assert refused.value.message.startswith("invalid_input: limit: Input should be a valid integer")


def test_an_unknown_error_names_an_incident_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(gr.Error) as refused, calls.public_errors("get_job"):
        raise RuntimeError("secret detail")
    assert refused.value.message.startswith("internal: Something went wrong in the studio.")
    assert "secret detail" not in refused.value.message
    assert refused.value.message.rstrip(".").rsplit(" ", 1)[1] in caplog.text
    assert "secret detail" in caplog.text


async def test_outputs_are_read_from_what_was_said() -> None:
    with gr.Blocks() as blocks:

        @calls.short(tuple[dict[str, Any], gr.FileData])
        @validate_call
        def get_asset(asset_id: str) -> tuple[str, str]:
            """One asset."""
            return asset_id, asset_id

    endpoint = blocks.get_api_info()["named_endpoints"]["/get_asset"]
    assert [output["python_type"]["type"] for output in endpoint["returns"]] == ["dict(str, Any)", "filepath"]
    assert [given["parameter_name"] for given in endpoint["parameters"]] == ["asset_id"]
    assert endpoint["description"] == "One asset."
