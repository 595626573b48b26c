// The beta's reference client, in the port that is published (openai-realtime-api): its
// RealtimeClient, with the conversation that it builds from the events.

import { RealtimeClient } from "openai-realtime-api";

import * as harness from "./harness.mjs";
import { check, checkEqual } from "./harness.mjs";

const DETECTION = {
  type: "server_vad",
  threshold: 0.5,
  prefix_padding_ms: 300,
  silence_duration_ms: 400,
};

/** A client, its conversation, and the server's events it passed on. */
class Talk {
  server = [];
  interruptions = 0;
  #watch = new harness.Watch();

  constructor(client) {
    this.client = client;
    client.on("realtime.event", ({ source, event }) => {
      if (source === "server") this.server.push(event);
      this.#watch.changed();
    });
    client.on("conversation.interrupted", () => {
      this.interruptions++;
      this.#watch.changed();
    });
    client.on("conversation.updated", () => this.#watch.changed());
  }

  of(type) {
    return this.server.filter((event) => event.type === type);
  }

  /** The errors that no client of the time could have avoided are left out. */
  errors() {
    return this.of("error").filter(({ error }) => error.code !== "response_cancel_not_active");
  }

  until(condition, what) {
    return this.#watch.until(() => {
      const [error] = this.errors();
      check(!error, `the server answered with an error: ${error?.error.message}`);
      return condition();
    }, what);
  }

  untilEnded(count) {
    return this.until(() => this.of("response.done").length >= count, `the end of response ${count}`);
  }

  /** The messages of that role, as the client puts them together. */
  messages(role) {
    return this.client.conversation.getItems().filter((item) => item.type === "message" && item.role === role);
  }

  say(text) {
    this.client.sendUserMessageContent([{ type: "input_text", text }]);
  }

  speak(samples) {
    return harness.stream((chunk) => this.client.appendInputAudio(chunk), samples);
  }
}

function conversation(play, sessionConfig = {}) {
  return async () => {
    const client = new RealtimeClient({
      url: `${harness.WS}/v1/realtime`,
      apiKey: harness.KEY,
      sessionConfig,
    });
    const talk = new Talk(client);
    try {
      await client.connect();
      await client.waitForSessionCreated();
      await play(talk);
    } finally {
      client.disconnect();
    }
  };
}

await harness.run({
  connect: conversation(
    async (talk) => {
      await talk.until(() => talk.of("session.updated").length > 0, "session.updated");
      const { session } = talk.of("session.updated")[0];
      checkEqual(session.instructions, "Be brief.", "instructions");
      checkEqual(session.turn_detection, null, "turn detection");
      checkEqual(session.max_response_output_tokens, 4096, "token limit");
    },
    { instructions: "Be brief." },
  ),
  text: conversation(
    async (talk) => {
      talk.say("Good morning");
      await talk.untilEnded(1);
      checkEqual(talk.messages("user")[0].formatted.text, "Good morning", "the user's message");
      const [answer] = talk.messages("assistant");
      checkEqual(answer.formatted.text, harness.GREETING, "answer");
      checkEqual(answer.status, "completed", "status");
    },
    { modalities: ["text"] },
  ),
  audio: conversation(
    async (talk) => {
      await talk.speak(harness.utterance());
      await talk.untilEnded(1);
      await talk.until(() => talk.messages("user")[0]?.formatted.transcript, "what was heard");
      const [user] = talk.messages("user");
      checkEqual(user.formatted.transcript.trim(), harness.HEARD, "what was heard");
      // The client cuts the user's audio out of what it sent, by the server's times.
      check(harness.audibleMs(user.formatted.audio) > 1500, "the user's audio is kept");
      const [answer] = talk.messages("assistant");
      checkEqual(answer.formatted.transcript, harness.GREETING, "transcript");
      check(harness.audibleMs(answer.formatted.audio) > 500, "the answer can be heard");
    },
    { turn_detection: DETECTION },
  ),
  tool: conversation(async (talk) => {
    const asked = [];
    const { name, description, parameters } = harness.WEATHER_TOOL;
    talk.client.addTool({ name, description, parameters }, async (question) => {
      asked.push(question);
      return { sky: "sunny" };
    });
    talk.say("What is the weather like?");
    await talk.untilEnded(2);
    checkEqual(asked, [{ city: "Paris" }], "calls of the function");
    const answer = talk.messages("assistant").at(-1);
    checkEqual(answer.formatted.transcript, harness.WEATHER, "answer");
  }),
  "barge-in": conversation(
    async (talk) => {
      talk.say("Tell me a story");
      await talk.until(() => talk.messages("assistant")[0]?.formatted.audio.length > 0, "the story's audio");
      await talk.speak(harness.interruption());
      await talk.until(() => talk.interruptions > 0, "conversation.interrupted");
      await talk.untilEnded(1);
      const [story] = talk.messages("assistant");
      const { status, status_details } = talk.of("response.done")[0].response;
      checkEqual([status, status_details.reason], ["cancelled", "turn_detected"], "how the story ended");
      check(!story.formatted.transcript.includes(harness.STORY_ENDS), "the story was cut short");
      // As the console of the time does it: whether the response still runs is not asked.
      talk.client.cancelResponse(story.id, 7200);
      await talk.until(() => talk.of("conversation.item.truncated").length > 0, "the item's truncation");
      checkEqual(story.formatted.audio.length, 7200, "samples left of the story");
    },
    { turn_detection: DETECTION },
  ),
});
