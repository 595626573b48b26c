"""An MCP server of the official Python SDK, for kaiwa to use: `mcp_tools.py`.

Says `listens on http://HOST:PORT/mcp` once it does, and runs until it is stopped.
"""

import socket

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

server = MCPServer("conformance", log_level="WARNING")

sent = []


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def get_forecast(city: str) -> str:
    """The weather of tomorrow in a city."""
    return f"rain in {city}"


@server.tool()
def send_postcard(to: str) -> str:
    """Sends a postcard."""
    sent.append(to)
    return f"postcard {len(sent)} is on its way to {to}"


@server.tool()
def open_vault() -> str:
    """Opens the vault."""
    raise ToolError("the vault is jammed")


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    app = server.streamable_http_app()
    print(f"listens on http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


main()
