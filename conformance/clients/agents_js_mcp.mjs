// @openai/agents-realtime, and the tools of an MCP server that an agent names.

import { hostedMcpTool } from "@openai/agents-core";

import { Talk, converse } from "./agents_talk.mjs";
import * as harness from "./harness.mjs";
import { check, checkEqual } from "./harness.mjs";

const LABEL = "conformance";

/** A talk with the tools of a server. */
class ToolTalk extends Talk {
  listed = [];
  requests = [];
  calls = [];

  constructor(session) {
    super(session);
    this.on("mcp_tools_changed", (tools) => this.listed.push(tools.map((tool) => tool.name)));
    this.on("mcp_tool_call_completed", (context, agent, call) => this.calls.push(call));
    this.on("tool_approval_requested", (context, agent, request) => this.requests.push(request));
  }

  async untilListed() {
    await this.until(() => this.listed.length > 0, "mcp_tools_changed");
    return this.listed[0];
  }

  /** Waits until that many responses are over, and makes sure that no other was asked for. */
  async untilQuiet(responses) {
    await this.until(() => this.of("response.done").length >= responses, `the end of ${responses} responses`);
    // The server answers this after all that was sent before.
    this.session.transport.sendEvent({ type: "input_audio_buffer.clear" });
    await this.until(() => this.of("input_audio_buffer.cleared").length > 0, "input_audio_buffer.cleared");
    checkEqual(this.of("response.created").length, responses, "responses");
  }

  async ask(text) {
    await this.untilListed();
    this.session.sendMessage(text);
  }

  async untilAsked() {
    await this.until(() => this.requests.length > 0, "tool_approval_requested");
    const [{ approvalItem }] = this.requests;
    checkEqual(approvalItem.rawItem.name, "send_postcard", "the tool that needs approval");
    checkEqual(this.calls, [], "calls before the approval");
    return approvalItem;
  }
}

function conversation(play, { requireApproval = "never", serverUrl = harness.MCP, ...options } = {}) {
  return async () => {
    if (!harness.MCP) {
      throw new harness.NotApplicable("the server that was given may contact no MCP server");
    }
    const mcp = hostedMcpTool({ serverLabel: LABEL, serverUrl, requireApproval, ...options });
    await converse(ToolTalk, play, { tools: [mcp], config: { outputModalities: ["text"] } });
  };
}

const elsewhere = harness.MCP?.replace("127.0.0.1", "localhost");

await harness.run({
  list: conversation(async (talk) => {
    checkEqual(await talk.untilListed(), ["get_forecast", "send_postcard", "open_vault"], "tools");
    const names = talk.session.availableMcpTools.map((tool) => tool.name);
    checkEqual(names, ["get_forecast", "send_postcard", "open_vault"], "available tools");
  }),
  call: conversation(async (talk) => {
    await talk.ask("What will it be like tomorrow?");
    await talk.untilSaid("assistant", harness.FORECAST);
    await talk.untilQuiet(2);
    const calls = talk.calls.map(({ name, output }) => [name, output]);
    checkEqual(calls, [["get_forecast", "rain in Paris"]], "calls");
    checkEqual(talk.texts("assistant"), [harness.FORECAST], "answers");
  }),
  approve: conversation(
    async (talk) => {
      await talk.ask("Send a postcard to Ada");
      await talk.session.approve(await talk.untilAsked());
      await talk.untilSaid("assistant", harness.POSTCARD);
      // What asks for the approval, the call, what follows from it.
      await talk.untilQuiet(3);
      checkEqual(talk.calls.length, 1, "calls");
      check(talk.calls[0].output.endsWith("on its way to Ada"), `its output: ${talk.calls[0].output}`);
      checkEqual(talk.texts("assistant"), [harness.POSTCARD], "answers");
    },
    { requireApproval: "always" },
  ),
  deny: conversation(
    async (talk) => {
      await talk.ask("Send a postcard to Ada");
      await talk.session.reject(await talk.untilAsked());
      await talk.untilSaid("assistant", harness.POSTCARD);
      await talk.untilQuiet(2);
      checkEqual(talk.calls, [], "calls");
    },
    { requireApproval: { always: { toolNames: ["send_postcard"] } } },
  ),
  "tool-failure": conversation(
    async (talk) => {
      await talk.ask("Open the vault");
      await talk.untilSaid("assistant", harness.VAULT);
      await talk.untilQuiet(2);
      const calls = talk.calls.map(({ name, output }) => [name, output]);
      checkEqual(calls, [["open_vault", null]], "calls");
      checkEqual(talk.of("response.mcp_call.failed").length, 1, "calls that failed");
    },
    { allowedTools: ["open_vault"] },
  ),
  "list-failure": conversation(
    async (talk) => {
      const error = await talk.untilError();
      check(error.includes("mcp_server_not_allowed"), `the error: ${error}`);
      check(error.includes(`--mcp-allow ${elsewhere}`), `what to do: ${error}`);
      checkEqual(talk.listed, [], "tools");
    },
    { serverUrl: elsewhere },
  ),
});
