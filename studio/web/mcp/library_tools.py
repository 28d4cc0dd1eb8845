"""Tools and the resource that find finished pictures and films and show them."""

from __future__ import annotations

from typing import Annotated

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult

from studio.errors import InvalidInput
from studio.services.library import AssetFilter, LibraryService
from studio.web.mcp import arguments as arg
from studio.web.mcp.answers import PICTURE_URI, Shelf, linked, result
from studio.web.mcp.calls import call_of
from studio.web.mcp.job_tools import DEFAULT_ITEMS, LOOKS, STOPS
from studio.web.models import AssetAnswer, Page

PNG = "image/png"


def add_library_tools(server: MCPServer, library: LibraryService, shelf: Shelf) -> None:
    """Add every tool of this module to `server`."""

    @server.tool(title="List pictures and films", annotations=LOOKS)
    def list_assets(
        *,
        context: Context,
        kind: arg.OfKind = None,
        job_type: arg.OfJobType = None,
        search: arg.Search = None,
        favourite: arg.Favourite = None,
        project: arg.Project = None,
        limit: arg.Limit = DEFAULT_ITEMS,
        cursor: arg.Cursor = None,
    ) -> Annotated[CallToolResult, Page[AssetAnswer]]:
        """One's own finished pictures and films, newest first, with links for people. `next` is the cursor of the
        following page, null on the last. get_asset shows one."""
        call = call_of(context, "read")
        wanted = AssetFilter(kind=kind, job_type=job_type, search=search, favourite=favourite, project=project)
        page = library.list(call.person, wanted, limit=limit, cursor=cursor)
        return result({**page, "items": [linked(asset, call) for asset in page["items"]]})

    @server.tool(title="Look at a picture or film", annotations=LOOKS)
    def get_asset(context: Context, asset_id: arg.AssetId) -> Annotated[CallToolResult, AssetAnswer]:
        """One asset: what is known of it, a copy to look at (of a film its poster), and a link to the original."""
        call = call_of(context, "read")
        asset = linked(library.get(call.person, asset_id), call)
        return result(asset, *shelf.shown(call, [asset]))

    @server.tool(title="Move to the trash", annotations=STOPS)
    def delete_asset(context: Context, asset_id: arg.AssetId) -> Annotated[CallToolResult, AssetAnswer]:
        """Move an asset to the trash, where its person can take it out again for 30 days."""
        call = call_of(context, "generate")
        return result(linked(library.delete(call.person, asset_id), call))

    @server.resource(PICTURE_URI, name="picture", title="A picture in full size", mime_type=PNG)
    def picture(context: Context, asset_id: str) -> bytes:
        """The original of one of one's pictures. Films are opened by their links."""
        mime_type, content = shelf.original(call_of(context, "read").person, asset_id)
        if mime_type != PNG:
            raise InvalidInput("A film is not read here. Open it by its url.")
        return content
