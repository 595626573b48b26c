// @openai/agents-realtime: a RealtimeSession over its WebSocket transport.

import { tool } from "@openai/agents-realtime";
import { z } from "zod";

import { Talk, converse } from "./agents_talk.mjs";
import * as harness from "./harness.mjs";
import { check, checkEqual } from "./harness.mjs";

/** A talk that is spoken, and may call functions. */
class SpokenTalk extends Talk {
  audio = [];
  ended = [];
  interruptions = 0;
  tools = [];

  constructor(session) {
    super(session);
    this.on("audio", (event) => this.audio.push(Buffer.from(event.data)));
    this.on("audio_interrupted", () => this.interruptions++);
    this.on("agent_end", (context, agent, output) => this.ended.push(output));
    this.on("agent_tool_end", (context, agent, tool, result) => this.tools.push([tool.name, result]));
  }

  speak(samples) {
    return harness.stream((chunk) => this.session.sendAudio(chunk.buffer), samples);
  }
}

const conversation = (play, options) => () => converse(SpokenTalk, play, options);

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
