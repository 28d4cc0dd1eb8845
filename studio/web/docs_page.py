"""The API's documentation as one page of our own: it lists what /api/openapi.json says and asks no other host for
anything, which the usual viewers do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from studio.web.openapi import DESCRIPTIONS, METHODS

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 1rem 0; }
h2 { margin: 2.5rem 0 0; text-transform: capitalize; }
section { border-top: 1px solid #8885; padding: .75rem 0; }
h3 { margin: 0; font: 600 1rem ui-monospace, monospace; overflow-wrap: anywhere; }
.method { display: inline-block; min-width: 4.5rem; text-transform: uppercase; }
p { margin: .25rem 0; } .scrolls { overflow-x: auto; } table { border-collapse: collapse; }
td { padding: .1rem .75rem .1rem 0; vertical-align: top; } td:last-child { min-width: 12rem; }
code { font-family: ui-monospace, monospace; } td code { white-space: nowrap; } .quiet { opacity: .75; }
"""
Json = Mapping[str, Any]


def docs_page(openapi: Json, openapi_url: str) -> str:
    """HTML that lists every operation of `openapi` with its parameters, body and answers, by tag."""
    info, tags = openapi["info"], openapi.get("tags", [])
    title = escape(info["title"])
    links = "".join(f'<a href="#{escape(tag["name"])}">{escape(tag["name"])}</a>' for tag in tags)
    chapters = "\n".join(_chapter(tag, openapi) for tag in tags)
    refusals = "".join(_row(str(status), escape(text)) for status, text in DESCRIPTIONS.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}: API</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<main><h1>{title}: API</h1><p>{escape(info.get('description', ''))}</p>"
        f"<p>Version {escape(info['version'])}. For tools: "
        f'<a href="{escape(openapi_url)}">{escape(openapi_url)}</a>. '
        "Assistants come in at <code>/mcp</code>, by the Model Context Protocol, with an API key.</p>"
        f'<nav>{links}<a href="#refusals">refusals</a></nav>'
        f'{chapters}<h2 id="refusals">Refusals</h2><p>Every one is '
        '<code>{"error": {"code", "message", "field"?}}</code>; 429 says with <code>Retry-After</code> when to come '
        f'back.</p><div class="scrolls"><table>{refusals}</table></div></main></body></html>'
    )


def _chapter(tag: Json, openapi: Json) -> str:
    name = tag["name"]
    sections = "\n".join(
        _operation(method, path, operations[method], openapi)
        for path, operations in openapi["paths"].items()
        for method in METHODS
        if method in operations and operations[method]["tags"] == [name]
    )
    heading = f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{escape(tag.get("description", ""))}</p>'
    return heading + sections if sections else ""


def _operation(method: str, path: str, operation: Json, openapi: Json) -> str:
    text = escape(operation.get("description") or operation.get("summary", ""))
    fields = [
        (parameter["name"], f"{parameter['in']}, {_type(parameter['schema'])}", parameter.get("description", ""))
        for parameter in operation.get("parameters", ())
    ]
    fields += [
        (name, f"body, {_type(schema)}", schema.get("description", ""))
        for name, schema in _body_fields(operation, openapi)
    ]
    table = "".join(_row(name, escape(kind), escape(meaning)) for name, kind, meaning in fields)
    scrolled = f'<div class="scrolls"><table>{table}</table></div>' if table else ""
    return (
        f'<section><h3><span class="method">{method}</span>{escape(path)}</h3><p>{text}</p>'
        f"{scrolled}{_answers(operation, openapi)}</section>"
    )


def _answers(operation: Json, openapi: Json) -> str:
    """What a success answers, and the numbers of the refusals, which have a table of their own."""
    good = [
        f"{status} {escape(_answered(answer))}" for status, answer in operation["responses"].items() if status < "400"
    ]
    bad = [status for status in operation["responses"] if status >= "400"]
    signed_in = "security" in openapi and operation.get("security") != []
    who = "" if signed_in or "security" not in openapi else "Asks for no sign-in. "
    return f'<p>{who}Answers {"; ".join(good)}. <span class="quiet">Refuses with {", ".join(bad)}.</span></p>'


def _answered(answer: Json) -> str:
    types = [
        _type(content["schema"]) if "schema" in content and media_type == "application/json" else media_type
        for media_type, content in answer.get("content", {}).items()
    ]
    return " or ".join(types) or answer["description"]


def _row(name: str, *cells: str) -> str:
    """A row of a table: a name as code, and cells of HTML."""
    return f"<tr><td><code>{escape(name)}</code></td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _body_fields(operation: Json, openapi: Json) -> Iterator[tuple[str, Json]]:
    seen: set[str] = set()
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        if "$ref" in schema:
            schema = openapi["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        for option in schema.get("oneOf", [schema]):
            for name, field in option.get("properties", {}).items():
                if name not in seen:
                    seen.add(name)
                    yield name, field


def _type(schema: Json) -> str:
    """A short name of a JSON schema's type."""
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[1]
        return f"a page of {name.removeprefix('Page_').rstrip('_')}" if name.startswith("Page_") else name
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))
