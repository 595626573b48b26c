// openai-node's Realtime classes: `openai_node.mjs ws|native ga|beta`.
//
// Both dial wss whatever the base URL says. OpenAIRealtimeWS takes a socket of ours
// (`createConnection`); for OpenAIRealtimeWebSocket the global WebSocket is one that dials ws.

import net from "node:net";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS as BetaWS } from "openai/beta/realtime/ws";
import { OpenAIRealtimeWebSocket as BetaWebSocket } from "openai/beta/realtime/websocket";

import * as harness from "./harness.mjs";
import { check, checkEqual } from "./harness.mjs";

const [kind, dialect] = process.argv.slice(2);
const isBeta = dialect === "beta";

const names = isBeta
  ? { text: "response.text", audio: "response.audio", transcript: "response.audio_transcript" }
  : {
      text: "response.output_text",
      audio: "response.output_audio",
      transcript: "response.output_audio_transcript",
    };

if (kind === "native") {
  const Native = globalThis.WebSocket;
  globalThis.WebSocket = class extends Native {
    constructor(url, protocols) {
      super(String(url).replace(/^wss:/, "ws:"), protocols);
    }
  };
}

function connect() {
  const client = new OpenAI({
    apiKey: harness.KEY,
    baseURL: `${harness.HTTP}/v1`,
    dangerouslyAllowBrowser: true,
  });
  const model = isBeta ? harness.BETA_MODEL : harness.MODEL;
  if (kind === "native") {
    return new (isBeta ? BetaWebSocket : OpenAIRealtimeWebSocket)(
      { model, dangerouslyAllowBrowser: true },
      client,
    );
  }
  const createConnection = () => net.connect({ host: harness.HOST, port: harness.PORT });
  return new (isBeta ? BetaWS : OpenAIRealtimeWS)({ model, options: { createConnection } }, client);
}

function settings({ text = false, instructions, tools } = {}) {
  const detection = { type: "server_vad", silence_duration_ms: 400 };
  const transcription = { model: "whisper-1" };
  const common = { ...(instructions && { instructions }), ...(tools && { tools }) };
  if (isBeta) {
    return {
      ...common,
      modalities: text ? ["text"] : ["text", "audio"],
      turn_detection: detection,
      input_audio_transcription: transcription,
    };
  }
  return {
    ...common,
    type: "realtime",
    output_modalities: [text ? "text" : "audio"],
    audio: { input: { turn_detection: detection, transcription } },
  };
}

/** A connection and everything it emitted. */
class Talk {
  events = [];
  errors = [];
  closed = false;
  #watch = new harness.Watch();

  constructor(connection) {
    this.connection = connection;
    connection.on("event", (event) => {
      this.events.push(event);
      this.#watch.changed();
    });
    connection.on("error", (error) => {
      this.errors.push(error);
      this.#watch.changed();
    });
  }

  of(type) {
    return this.events.filter((event) => event.type === type);
  }

  /** The event of that type that is number `count` of this connection. */
  until(type, count = 1) {
    return this.#watch.until(() => {
      check(this.errors.length === 0, `the client reports an error: ${this.errors[0]?.message}`);
      return this.of(type)[count - 1];
    }, type);
  }

  send(event) {
    this.connection.send(event);
  }

  async begin(session) {
    await this.until("session.created");
    this.send({ type: "session.update", session: settings(session) });
    return (await this.until("session.updated")).session;
  }

  say(text) {
    const content = [{ type: "input_text", text }];
    this.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
    this.send({ type: "response.create" });
  }

  speak(samples) {
    const append = (chunk) =>
      this.send({ type: "input_audio_buffer.append", audio: harness.base64(chunk) });
    return harness.stream(append, samples);
  }

  joined(prefix) {
    return this.of(`${prefix}.delta`)
      .map((event) => event.delta)
      .join("");
  }

  samples() {
    const bytes = this.of(`${names.audio}.delta`).map((event) => Buffer.from(event.delta, "base64"));
    return harness.samplesOf(Buffer.concat(bytes));
  }
}

const answer = (response) =>
  response.output
    .flatMap((item) => item.content ?? [])
    .map((part) => part.text ?? part.transcript)
    .join(" ");

/** Holds a conversation and hangs up. */
function conversation(play) {
  return async () => {
    const connection = connect();
    try {
      await play(new Talk(connection));
    } finally {
      connection.close();
    }
  };
}

await harness.run({
  connect: conversation(async (talk) => {
    const session = await talk.begin({ instructions: "Be brief." });
    checkEqual(talk.events[0].type, "session.created", "the first event");
    checkEqual(session.instructions, "Be brief.", "instructions");
    if (kind === "native") checkEqual(talk.connection.socket.protocol, "realtime", "subprotocol");
    if (isBeta) checkEqual([...session.modalities].sort(), ["audio", "text"], "modalities");
    else checkEqual(session.type, "realtime", "session type");
  }),
  text: conversation(async (talk) => {
    await talk.begin({ text: true });
    talk.say("Good morning");
    const { response } = await talk.until("response.done");
    checkEqual(response.status, "completed", "status");
    checkEqual(answer(response), harness.GREETING, "answer");
    checkEqual(talk.joined(names.text), harness.GREETING, "deltas");
  }),
  audio: conversation(async (talk) => {
    await talk.begin();
    await talk.speak(harness.utterance());
    const { response } = await talk.until("response.done");
    const heard = await talk.until("conversation.item.input_audio_transcription.completed");
    checkEqual(heard.transcript.trim(), harness.HEARD, "what was heard");
    checkEqual(answer(response), harness.GREETING, "answer");
    checkEqual(talk.joined(names.transcript), harness.GREETING, "transcript deltas");
    check(harness.audibleMs(talk.samples()) > 500, "the answer can be heard");
  }),
  tool: conversation(async (talk) => {
    await talk.begin({ tools: [harness.WEATHER_TOOL] });
    talk.say("What is the weather like?");
    const { response } = await talk.until("response.done");
    const call = response.output.find((item) => item.type === "function_call");
    checkEqual([call.name, JSON.parse(call.arguments)], ["get_weather", { city: "Paris" }], "call");
    const item = { type: "function_call_output", call_id: call.call_id, output: "sunny" };
    talk.send({ type: "conversation.item.create", item });
    talk.send({ type: "response.create" });
    checkEqual(answer((await talk.until("response.done", 2)).response), harness.WEATHER, "answer");
  }),
  "barge-in": conversation(async (talk) => {
    await talk.begin();
    talk.say("Tell me a story");
    const { item_id, content_index } = await talk.until(`${names.audio}.delta`);
    await talk.speak(harness.interruption());
    const { response } = await talk.until("response.done");
    checkEqual(response.status, "cancelled", "status");
    checkEqual(response.status_details.reason, "turn_detected", "reason");
    check(answer(response).includes(harness.STORY_BEGINS), "the story began");
    check(!answer(response).includes(harness.STORY_ENDS), "the story was cut short");
    talk.send({ type: "conversation.item.truncate", item_id, content_index, audio_end_ms: 300 });
    checkEqual((await talk.until("conversation.item.truncated")).audio_end_ms, 300, "truncation");
    const next = await talk.until("response.done", 2);
    checkEqual(answer(next.response), harness.STOPPED, "answer to the interruption");
  }),
});
