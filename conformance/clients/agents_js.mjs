// @openai/agents-realtime: a RealtimeSession over its WebSocket transport.

import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";

import * as harness from "./harness.mjs";
import { check, checkEqual } from "./harness.mjs";

/** A session and what it emitted. */
class Talk {
  audio = [];
  errors = [];
  ended = [];
  interruptions = 0;
  tools = [];
  server = [];
  #watch = new harness.Watch();

  constructor(session) {
    this.session = session;
    const note = (keep) => (...values) => {
      keep(...values);
      this.#watch.changed();
    };
    session.on("audio", note((event) => this.audio.push(Buffer.from(event.data))));
    session.on("audio_interrupted", note(() => this.interruptions++));
    session.on("agent_end", note((context, agent, output) => this.ended.push(output)));
    session.on("agent_tool_end", note((context, agent, tool, result) => this.tools.push([tool.name, result])));
    session.on("error", note(({ error }) => this.errors.push(error)));
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

  speak(samples) {
    return harness.stream((chunk) => this.session.sendAudio(chunk.buffer), samples);
  }
}

function conversation(play, { tools = [], config = {} } = {}) {
  return async () => {
    const agent = new RealtimeAgent({ name: "kaiwa", instructions: "Be brief.", tools });
    const transport = new OpenAIRealtimeWebSocket({
      url: `${harness.WS}/v1/realtime?model=${harness.MODEL}`,
    });
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

const asked = [];
const weather = tool({
  name: "get_weather",
  description: "The weather in a city.",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    asked.push(city);
    return "sunny";
  },
});

await harness.run({
  connect: conversation(async (talk) => {
    await talk.until(() => talk.of("session.updated").length >= 2, "both session.updated");
    const { session } = talk.of("session.updated")[1];
    checkEqual(session.instructions, "Be brief.", "instructions");
    checkEqual(session.tracing, "auto", "tracing");
  }),
  text: conversation(
    async (talk) => {
      talk.session.sendMessage("Good morning");
      await talk.until(() => talk.ended.length === 1, "agent_end");
      await talk.untilSaid("assistant", harness.GREETING);
      checkEqual(talk.texts("user"), ["Good morning"], "the user's messages");
    },
    { config: { outputModalities: ["text"] } },
  ),
  audio: conversation(async (talk) => {
    await talk.speak(harness.utterance());
    await talk.until(() => talk.ended.length === 1, "agent_end");
    checkEqual(talk.ended, [harness.GREETING], "what the agent said");
    await talk.untilSaid("user", harness.HEARD);
    await talk.untilSaid("assistant", harness.GREETING);
    const samples = harness.samplesOf(Buffer.concat(talk.audio));
    check(harness.audibleMs(samples) > 500, "the answer can be heard");
    check(talk.session.usage.totalTokens > 0, "tokens are counted");
  }),
  tool: conversation(
    async (talk) => {
      talk.session.sendMessage("What is the weather like?");
      await talk.untilSaid("assistant", harness.WEATHER);
      checkEqual(asked, ["Paris"], "calls of the function");
      checkEqual(talk.tools, [["get_weather", "sunny"]], "its outputs");
    },
    { tools: [weather] },
  ),
  "barge-in": conversation(async (talk) => {
    talk.session.sendMessage("Tell me a story");
    await talk.until(() => talk.audio.length > 0, "the story's first audio");
    await talk.speak(harness.cuttingIn());
    await talk.until(() => talk.interruptions > 0, "audio_interrupted");
    await talk.until(() => talk.of("conversation.item.truncated").length > 0, "the item's truncation");
    await talk.speak(harness.fallingSilent());
    await talk.untilSaid("assistant", harness.STOPPED);
    const statuses = talk.of("response.done").map((event) => event.response.status);
    checkEqual(statuses, ["cancelled", "completed"], "how the responses ended");
  }),
});
