// What the drivers of @openai/agents-realtime share: a RealtimeSession over its WebSocket transport.

import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession } from "@openai/agents-realtime";

import * as harness from "./harness.mjs";
import { check } from "./harness.mjs";

/** A session and what it emitted. */
export class Talk {
  errors = [];
  server = [];
  #watch = new harness.Watch();

  constructor(session) {
    this.session = session;
    this.on("error", ({ error }) => this.errors.push(error));
    this.on("history_updated", () => {});
    this.on("transport_event", (event) => this.server.push(event));
  }

  /** Has `keep` take what the session emits, and the waits look again. */
  on(kind, keep) {
    this.session.on(kind, (...values) => {
      keep(...values);
      this.#watch.changed();
    });
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

  /** The server's events of that type. */
  of(type) {
    return this.server.filter((event) => event.type === type);
  }

  /** What the messages of that role say, in the history's order. */
  texts(role) {
    return this.session.history
      .filter((item) => item.type === "message" && item.role === role)
      .map((item) => item.content.map((part) => part.text ?? part.transcript ?? "").join(" "));
  }

  untilSaid(role, text) {
    return this.until(() => this.texts(role).includes(text), `"${text}" of the ${role} in the history`);
  }
}

/** Connects an agent that has these tools, and plays the conversation as a `Kind` of talk. */
export async function converse(Kind, play, { tools = [], config = {} } = {}) {
  const agent = new RealtimeAgent({ name: "kaiwa", instructions: "Be brief.", tools });
  const transport = new OpenAIRealtimeWebSocket({
    url: `${harness.WS}/v1/realtime?model=${harness.MODEL}`,
  });
  const session = new RealtimeSession(agent, { transport, config });
  const talk = new Kind(session);
  try {
    await session.connect({ apiKey: harness.KEY });
    await play(talk);
  } finally {
    session.close();
  }
}
