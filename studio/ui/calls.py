"""How a function becomes an endpoint of the Python client, and how its errors reach the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import gradio as gr
from gradio.events import api

from studio.incidents import told

FOLLOWERS = 16
"""Clients that follow a job through /generate at once. Every running event takes one of Gradio's 40 slots, and the
lanes must always find one free; further clients wait in Gradio's queue and order when their turn comes."""
SHORT_CALLS = 8
"""Short calls that run at once, out of the same 40 slots."""

WAITING_CALLS = 4
"""Calls that wait for a worker at once, likewise."""

ParametersP = ParamSpec("ParametersP")
ResultT = TypeVar("ResultT")
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def short(outputs: Any = None) -> Callable[[Callable[ParametersP, ResultT]], Callable[ParametersP, ResultT]]:
    """Register a function that answers at once, under its own name, with its errors translated.

    Gradio reads what a client gets from the return annotation; `outputs` says it where the annotation differs.
    To be used inside `gr.Blocks`, like `following`.
    """

    def register(function: Callable[ParametersP, ResultT]) -> Callable[ParametersP, ResultT]:
        name = function.__name__

        @wraps(function)
        def endpoint(*args: ParametersP.args, **kwargs: ParametersP.kwargs) -> ResultT:
            with public_errors(name):
                return function(*args, **kwargs)

        _say_outputs(endpoint, outputs)
        api(endpoint, api_name=name, concurrency_id="short_calls", concurrency_limit=SHORT_CALLS)
        return endpoint

    return register


def following(outputs: Any) -> Callable[[FunctionT], FunctionT]:
    """Register an async generator that follows a job, under its own name. `outputs` is what each answer holds."""

    def register(function: FunctionT) -> FunctionT:
        _say_outputs(function, outputs)
        api(function, api_name=function.__name__, concurrency_id="followers", concurrency_limit=FOLLOWERS)
        return function

    return register


def waiting(outputs: Any) -> Callable[[FunctionT], FunctionT]:
    """Register an async function whose caller waits seconds for a worker, under its own name."""

    def register(function: FunctionT) -> FunctionT:
        _say_outputs(function, outputs)
        api(function, api_name=function.__name__, concurrency_id="waiting_calls", concurrency_limit=WAITING_CALLS)
        return function

    return register


def _say_outputs(function: Callable[..., Any], outputs: Any) -> None:
    # inspect.signature, by which Gradio asks, looks through wrappers at the function inside.
    while outputs is not None:
        function.__annotations__["return"] = outputs
        if not hasattr(function, "__wrapped__"):
            return
        function = function.__wrapped__


@contextmanager
def public_errors(name: str) -> Iterator[None]:
    """Translate what goes wrong in the endpoint `name` into gr.Error: "code: sentence", without a traceback."""
    try:
        yield
    # The outermost edge: whatever went wrong must reach the log with a name, and the client without its traceback.
    except Exception as error:
        public = told(error, f"endpoint /{name}")
        raise gr.Error(f"{public.code}: {public.message}", print_exception=False) from error
