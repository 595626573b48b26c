// What every Node driver shares; the counterpart of harness.py, which describes the report.

import { isDeepStrictEqual, inspect } from "node:util";

export const HTTP = process.env.KAIWA_URL;
export const WS = HTTP.replace("http", "ws");
export const { hostname: HOST, port: PORT } = new URL(HTTP);
/** An MCP server that the server may contact, if there is one: `mcp_tools.py`. */
export const MCP = process.env.KAIWA_MCP_URL;
export const KEY = "sk-conformance";
export const MODEL = "gpt-realtime";
export const BETA_MODEL = "gpt-4o-realtime-preview-2024-10-01";

// What script.toml answers.
export const HEARD = "Good morning, can you hear me?";
export const GREETING = "Good morning. I can hear you well.";
export const WEATHER = "It is sunny in Paris.";
export const STORY_BEGINS = "Once upon a time";
export const STORY_ENDS = "told them a secret";
export const STOPPED = "I have stopped.";
export const FORECAST = "It will rain in Paris tomorrow.";
export const POSTCARD = "So much for the postcard.";
export const VAULT = "The vault stays shut.";

export const WEATHER_PARAMETERS = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
export const WEATHER_TOOL = {
  type: "function",
  name: "get_weather",
  description: "The weather in a city.",
  parameters: WEATHER_PARAMETERS,
};

const RATE = 24_000;
const CHUNK_MS = 100;
const SCENARIO_LIMIT_MS = 40_000;
const WAIT_LIMIT_MS = 15_000;

/** Voiced sound in the quiet that a turn detector needs: a 140 Hz tone that swells. */
export const utterance = () => pcm([0, 300], [1, 2000], [0, 1200]);

/** A word thrown in. */
export const interruption = () => pcm([0, 100], [1, 500], [0, 1200]);

/**
 * The same in two pieces, for a client that answers `speech_started` with a cancel of its own:
 * with the turn's end already on its way it would cancel the next answer.
 */
export const cuttingIn = () => pcm([0, 100], [1, 500]);
export const fallingSilent = () => pcm([0, 1200]);

function pcm(...stretches) {
  const samples = [];
  for (const [loudness, ms] of stretches) {
    for (let n = 0; n < (RATE * ms) / 1000; n++) {
      const t = n / RATE;
      const swell = 0.65 + 0.35 * Math.sin(2 * Math.PI * 5 * t);
      const wave = [1, 2, 3, 5].reduce((sum, k) => sum + Math.sin(2 * Math.PI * 140 * k * t) / k, 0);
      samples.push(Math.trunc(6000 * loudness * swell * wave));
    }
  }
  return Int16Array.from(samples);
}

/** Gives samples to `send` in chunks, as fast as they are taken. */
export async function stream(send, samples) {
  const size = (RATE * CHUNK_MS) / 1000;
  for (let at = 0; at < samples.length; at += size) {
    await send(samples.slice(at, at + size));
  }
}

export const base64 = (samples) =>
  Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength).toString("base64");

/** Milliseconds of 16-bit mono PCM; fails on silence, which no answer consists of. */
export function audibleMs(samples) {
  check(samples.some((sample) => Math.abs(sample) > 1000), "the answer's audio is silent");
  return (samples.length * 1000) / RATE;
}

/** Samples of a buffer of bytes. */
export function samplesOf(bytes) {
  const copy = new Uint8Array(bytes);
  return new Int16Array(copy.buffer, 0, Math.floor(copy.length / 2));
}

export function check(condition, message) {
  if (!condition) throw new Error(message);
}

export function checkEqual(found, expected, what) {
  check(isDeepStrictEqual(found, expected), `${what}: expected ${inspect(expected)}, found ${inspect(found)}`);
}

/** Waits until what a client reports satisfies a condition; its callbacks call `changed`. */
export class Watch {
  #waiting = new Set();

  changed() {
    for (const look of [...this.#waiting]) look();
  }

  until(condition, what) {
    return new Promise((resolve, reject) => {
      const end = (settle, value) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settle(value);
      };
      const look = () => {
        try {
          const found = condition();
          if (found) end(resolve, found);
        } catch (error) {
          end(reject, error);
        }
      };
      const timer = setTimeout(
        () => end(reject, new Error(`waited ${WAIT_LIMIT_MS / 1000} s in vain for ${what}`)),
        WAIT_LIMIT_MS,
      );
      this.#waiting.add(look);
      look();
    });
  }
}

export class NotApplicable extends Error {}

/** Runs the scenarios (name: async function) one after the other, and ends the process. */
export async function run(scenarios) {
  let failed;
  // A client that throws where nobody can catch it has failed the scenario at hand.
  for (const kind of ["uncaughtException", "unhandledRejection"]) {
    process.on(kind, (error) => failed?.(error));
  }
  for (const [scenario, play] of Object.entries(scenarios)) {
    let timer;
    const broken = new Promise((_, reject) => {
      failed = reject;
      timer = setTimeout(
        () => reject(new Error(`not done after ${SCENARIO_LIMIT_MS / 1000} s`)),
        SCENARIO_LIMIT_MS,
      );
    });
    let report = { scenario, result: "pass", detail: "" };
    try {
      await Promise.race([play(), broken]);
    } catch (error) {
      if (error instanceof NotApplicable) {
        report = { scenario, result: "n/a", detail: error.message };
      } else {
        console.error(error);
        report = { scenario, result: "fail", detail: String(error?.message ?? error) };
      }
    }
    clearTimeout(timer);
    console.log(JSON.stringify(report));
  }
  process.exit(0);
}
