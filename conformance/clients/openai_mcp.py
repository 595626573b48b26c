"""openai-python's Realtime connection, and the tools of an MCP server."""

from contextlib import asynccontextmanager

from openai import AsyncOpenAI

import harness
from harness import check, check_equal
from openai_talk import Talk, answer

LABEL = "conformance"


def tool(**changed):
    """The MCP server in a session's tools."""
    if harness.MCP is None:
        raise harness.NotApplicable("the server that was given may contact no MCP server")
    return {"type": "mcp", "server_label": LABEL, "server_url": harness.MCP} | changed


@asynccontextmanager
async def conversation(declared):
    client = AsyncOpenAI(api_key=harness.KEY, base_url=f"{harness.HTTP}/v1")
    async with client.realtime.connect(model=harness.MODEL) as connection:
        talk = Talk(connection)
        await talk.begin({"type": "realtime", "output_modalities": ["text"], "tools": [declared]})
        yield talk


def items(talk, event, kind):
    return [found.item for found in talk.of(event) if found.item.type == kind]


async def listed(talk):
    await talk.until("mcp_list_tools.completed")
    return items(talk, "conversation.item.done", "mcp_list_tools")[0]


async def lists():
    async with conversation(tool(require_approval="never")) as talk:
        item = await listed(talk)
        check_equal(item.server_label, LABEL, "label")
        names = [offered.name for offered in item.tools]
        check_equal(names, ["get_forecast", "send_postcard", "open_vault"], "tools")
        forecast = item.tools[0]
        check_equal(forecast.description, "The weather of tomorrow in a city.", "description")
        check_equal(forecast.input_schema["required"], ["city"], "schema")
        begun = items(talk, "conversation.item.added", "mcp_list_tools")[0]
        check_equal((begun.id, begun.tools), (item.id, []), "the item as it was added")
        check_equal(talk.of("mcp_list_tools.in_progress")[0].item_id, item.id, "in progress")


async def check_answer(talk, text):
    """What a call returned is answered by the next response."""
    before = len(talk.of("response.done"))
    await talk.connection.response.create()
    done = await talk.until("response.done", before + 1)
    check_equal(answer(done.response), text, "answer")


async def calls():
    async with conversation(tool(require_approval="never")) as talk:
        await listed(talk)
        await talk.say("What will it be like tomorrow?")
        done = await talk.until("response.done")
        arguments = talk.of("response.mcp_call_arguments.done")[0].arguments
        check_equal(talk.text("response.mcp_call_arguments"), arguments, "argument deltas")
        await talk.until("response.mcp_call.completed")
        check_equal(len(talk.of("response.mcp_call.in_progress")), 1, "calls that ran")
        call = done.response.output[0]
        check_equal((call.type, call.server_label, call.name), ("mcp_call", LABEL, "get_forecast"), "call")
        check_equal((call.output, call.error), ("rain in Paris", None), "its output")
        check_equal(call.arguments, arguments, "its arguments")
        await check_answer(talk, harness.FORECAST)


async def asked(talk):
    """Asks for a call that needs approval; the request."""
    await listed(talk)
    await talk.say("Send a postcard to Ada")
    done = await talk.until("response.done")
    check_equal([item.type for item in done.response.output], ["mcp_approval_request"], "output")
    check(not talk.of("response.mcp_call.in_progress"), "nothing runs before it is approved")
    request = items(talk, "conversation.item.done", "mcp_approval_request")[0]
    check_equal((request.server_label, request.name), (LABEL, "send_postcard"), "request")
    return request


async def decide(talk, approve):
    request = await asked(talk)
    response = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": approve}
    await talk.connection.conversation.item.create(item=response)
    done = await talk.until("response.done", 2)
    return request, done.response


async def approves():
    async with conversation(tool(require_approval="always")) as talk:
        request, response = await decide(talk, True)
        call = response.output[0]
        check_equal(call.approval_request_id, request.id, "the request that was approved")
        check(call.output.endswith("on its way to Ada"), f"its output: {call.output}")
        await check_answer(talk, harness.POSTCARD)


async def denies():
    only_postcards = {"always": {"tool_names": ["send_postcard"]}}
    async with conversation(tool(require_approval=only_postcards)) as talk:
        _, response = await decide(talk, False)
        check_equal([item.type for item in response.output], ["message"], "output")
        check_equal(answer(response), harness.POSTCARD, "answer")
        check(not talk.of("response.mcp_call.in_progress"), "nothing runs that was denied")


async def tool_fails():
    async with conversation(tool(require_approval="never", allowed_tools=["open_vault"])) as talk:
        await listed(talk)
        await talk.say("Open the vault")
        done = await talk.until("response.done")
        check_equal(len(talk.of("response.mcp_call.failed")), 1, "calls that failed")
        call = done.response.output[0]
        check_equal(call.output, None, "its output")
        check_equal(call.error.type, "tool_execution_error", "its error")
        check("the vault is jammed" in call.error.message, f"its error: {call.error.message}")
        check_equal(done.response.status, "completed", "status")
        await check_answer(talk, harness.VAULT)


async def listing_fails():
    url = tool()["server_url"].replace("127.0.0.1", "localhost")
    async with conversation(tool(server_url=url)) as talk:
        error = (await talk.until("error")).error
        check_equal(error.code, "mcp_server_not_allowed", "code")
        check(f"--mcp-allow {url}" in error.message, f"what to do: {error.message}")
        failed = await talk.until("mcp_list_tools.failed")
        begun = items(talk, "conversation.item.added", "mcp_list_tools")[0]
        check_equal(failed.item_id, begun.id, "the listing that failed")


harness.run(
    {
        "list": lists,
        "call": calls,
        "approve": approves,
        "deny": denies,
        "tool-failure": tool_fails,
        "list-failure": listing_fails,
    }
)
