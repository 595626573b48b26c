// @openai/agents-realtime, and the tools of an MCP server that an agent names.

import { hostedMcpTool } from "@openai/agents-core";
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession } from "@openai/agents-realtime";

import * as harness from "./harness.mjs";
import { check, checkEqual } from "./harness.mjs";

const LABEL = "conformance";

/** A session and what it emitted. */
class Talk {
  errors = [];
  listed = [];
  requests = [];
  calls = [];
  server = [];
  #watch = new harness.Watch();

  constructor(session) {
    this.session = session;
    const note = (keep) => (...values) => {
      keep(...values);
      this.#watch.changed();
    };
    session.on("error", note(({ error }) => this.errors.push(error)));
    session.on("mcp_tools_changed", note((tools) => this.listed.push(tools.map((tool) => tool.name))));
    session.on("mcp_tool_call_completed", note((context, agent, call) => this.calls.push(call)));
    session.on("tool_approval_requested", note((context, agent, request) => this.requests.push(request)));
    session.on("history_updated", note(() => {}));
    session.on("transport_event", note((event) => this.server.push(event)));
  }

  until(condition, what) {
    return this.#watch.until(() => {
      const [error] = this.errors;
      check(!error, `the session reports an error: ${error?.message ?? JSON.stringify(error)}`);
      return condition();
    }, what);
  }

  /** Waits for an error, which the other waits do not take. */
  async untilError() {
    await this.#watch.until(() => this.errors.length > 0, "an error");
    return JSON.stringify(this.errors[0]);
  }

  async untilListed() {
    await this.until(() => this.listed.length > 0, "mcp_tools_changed");
    return this.listed[0];
  }

  /** What the assistant's messages say, in the history's order. */
  answers() {
    return this.session.history
      .filter((item) => item.type === "message" && item.role === "assistant")
      .map((item) => item.content.map((part) => part.text ?? part.transcript ?? "").join(" "));
  }

  untilAnswered(text) {
    return this.until(() => this.answers().includes(text), `"${text}" in the history`);
  }

  /** Waits until no response is under way and none is going to be. */
  async untilQuiet() {
    const count = (type) => this.server.filter((event) => event.type === type).length;
    await this.until(() => count("response.done") === count("response.created"), "the end of all responses");
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
    const agent = new RealtimeAgent({ name: "kaiwa", instructions: "Be brief.", tools: [mcp] });
    const transport = new OpenAIRealtimeWebSocket({
      url: `${harness.WS}/v1/realtime?model=${harness.MODEL}`,
    });
    const config = { outputModalities: ["text"] };
    const session = new RealtimeSession(agent, { transport, config });
    const talk = new Talk(session);
    try {
      await session.connect({ apiKey: harness.KEY });
      await play(talk);
    } finally {
      session.close();
    }
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
    await talk.untilAnswered(harness.FORECAST);
    await talk.untilQuiet();
    const calls = talk.calls.map(({ name, output }) => [name, output]);
    checkEqual(calls, [["get_forecast", "rain in Paris"]], "calls");
    checkEqual(talk.answers(), [harness.FORECAST], "answers");
  }),
  approve: conversation(
    async (talk) => {
      await talk.ask("Send a postcard to Ada");
      await talk.session.approve(await talk.untilAsked());
      await talk.untilAnswered(harness.POSTCARD);
      await talk.untilQuiet();
      checkEqual(talk.calls.length, 1, "calls");
      check(talk.calls[0].output.endsWith("on its way to Ada"), `its output: ${talk.calls[0].output}`);
      checkEqual(talk.answers(), [harness.POSTCARD], "answers");
    },
    { requireApproval: "always" },
  ),
  deny: conversation(
    async (talk) => {
      await talk.ask("Send a postcard to Ada");
      await talk.session.reject(await talk.untilAsked());
      await talk.untilAnswered(harness.POSTCARD);
      await talk.untilQuiet();
      checkEqual(talk.calls, [], "calls");
    },
    { requireApproval: { always: { toolNames: ["send_postcard"] } } },
  ),
  "tool-failure": conversation(
    async (talk) => {
      await talk.ask("Open the vault");
      await talk.untilAnswered(harness.VAULT);
      await talk.untilQuiet();
      const calls = talk.calls.map(({ name, output }) => [name, output]);
      checkEqual(calls, [["open_vault", null]], "calls");
      const failed = talk.server.filter((event) => event.type === "response.mcp_call.failed");
      checkEqual(failed.length, 1, "calls that failed");
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
