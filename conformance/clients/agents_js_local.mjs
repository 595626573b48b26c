// @openai/agents-realtime with a function, against the language model that runs in the server.

import { tool } from "@openai/agents-realtime";
import { z } from "zod";

import { Talk, converse } from "./agents_talk.mjs";
import * as harness from "./harness.mjs";
import { check, checkEqual } from "./harness.mjs";

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

async function ask(talk) {
  talk.session.sendMessage("Look up the weather in Paris, please.");
  const knows = () => talk.texts("assistant").some((text) => text.toLowerCase().includes("sunny"));
  await talk.until(knows, "an answer that knows the weather");
  check(asked.length > 0 && asked.every((city) => /paris/i.test(city)), `calls of the function: ${asked}`);
  const statuses = talk.of("response.done").map((event) => event.response.status);
  checkEqual(statuses, statuses.map(() => "completed"), "how the responses ended");
}

const config = { outputModalities: ["text"] };
await harness.run({ tool: () => converse(Talk, ask, { tools: [weather], config }) });
