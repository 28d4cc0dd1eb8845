"""The API's documentation as one page of our own: it lists what /api/openapi.json says and asks no other host for
anything, which the usual viewers do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")
STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid #8885; padding: .75rem 0; }
h3 { margin: 0; font: 600 1rem ui-monospace, monospace; overflow-wrap: anywhere; }
.method { display: inline-block; min-width: 4.5rem; text-transform: uppercase; }
p { margin: .25rem 0; } table { border-collapse: collapse; } pre { overflow-x: auto; }
td { padding: .1rem .75rem .1rem 0; vertical-align: top; } code { font-family: ui-monospace, monospace; }
"""


def docs_page(openapi: Mapping[str, Any], openapi_url: str) -> str:
    """HTML that lists every operation of `openapi` with its parameters, body and answers."""
    info = openapi["info"]
    sections = "\n".join(
        _operation(method, path, operations[method], openapi)
        for path, operations in openapi["paths"].items()
        for method in METHODS
        if method in operations
    )
    title = escape(info["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}: API</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<main><h1>{title}: API</h1><p>Version {escape(info['version'])}. For tools: "
        f'<a href="{escape(openapi_url)}">{escape(openapi_url)}</a>. Every error is '
        '<code>{"error": {"code", "message", "field"?}}</code>. Assistants come in at <code>/mcp</code>, by the Model '
        "Context Protocol, with an API key.</p>"
        f"{sections}</main></body></html>"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any], openapi: Mapping[str, Any]) -> str:
    summary = escape(operation.get("description") or operation.get("summary", ""))
    rows = [
        (parameter["name"], f"{parameter['in']}, {_type(parameter['schema'])}", parameter.get("description", ""))
        for parameter in operation.get("parameters", ())
    ]
    rows += [
        (name, f"body, {_type(schema)}", schema.get("description", ""))
        for name, schema in _body_fields(operation, openapi)
    ]
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{escape(text)}</td></tr>"
        for name, kind, text in rows
    )
    answers = ", ".join(sorted(operation["responses"]))
    return (
        f'<section><h3><span class="method">{method}</span>{escape(path)}</h3><p>{summary}</p>'
        f"<table>{cells}</table><p>Answers: {escape(answers)}</p></section>"
    )


def _body_fields(operation: Mapping[str, Any], openapi: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        if "$ref" in schema:
            schema = openapi["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        yield from schema.get("properties", {}).items()


def _type(schema: Mapping[str, Any]) -> str:
    """A short name of a JSON schema's type."""
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    return str(schema.get("type", "any"))
