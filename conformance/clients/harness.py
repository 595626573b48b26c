"""What every Python driver shares: the server's address, speech, time limits, the report.

A driver is a program that takes a client as it is published through some scenarios and
prints one JSON object a line for each: `{"scenario", "result", "detail"}`, where `result` is
`pass`, `fail` or `n/a`. It judges by what the client's own interface tells it.
"""

import array
import asyncio
import base64
import json
import math
import os
import sys
import traceback
import urllib.parse

HTTP = os.environ["KAIWA_URL"]
"""The server, for example `http://127.0.0.1:40000`."""

WS = HTTP.replace("http", "ws", 1)
KEY = "sk-conformance"
MODEL = "gpt-realtime"

KEYS_ARE_CHECKED = "KAIWA_PID" in os.environ
"""Whether the server lets in no other key, as the one does that the run starts."""

MCP = os.environ.get("KAIWA_MCP_URL")
"""An MCP server that the server may contact, if there is one: `mcp_tools.py`."""

SCENARIO_LIMIT = 40.0
"""Seconds after which a scenario has failed."""

# What script.toml answers.
HEARD = "Good morning, can you hear me?"
GREETING = "Good morning. I can hear you well."
WEATHER = "It is sunny in Paris."
STORY_BEGINS = "Once upon a time"
STORY_ENDS = "told them a secret"
BROKEN_OFF = "This sentence"
STOP_HEARD = "Stop, please."
STOPPED = "I have stopped."
FORECAST = "It will rain in Paris tomorrow."
POSTCARD = "So much for the postcard."
VAULT = "The vault stays shut."

WEATHER_TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}

RATE = 24_000
CHUNK_MS = 100


class NotApplicable(Exception):
    """The scenario does not exist for this client; the message says why."""


def speech(ms, rate=RATE):
    """Voiced sound: a 140 Hz tone with overtones that swells five times a second."""
    samples = array.array("h")
    for n in range(rate * ms // 1000):
        t = n / rate
        swell = 0.65 + 0.35 * math.sin(2 * math.pi * 5 * t)
        wave = sum(math.sin(2 * math.pi * 140 * k * t) / k for k in (1, 2, 3, 5))
        samples.append(int(6000 * swell * wave))
    return little_endian(samples)


def silence(ms, rate=RATE):
    return bytes(2 * (rate * ms // 1000))


def little_endian(samples):
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def utterance(ms=2_000):
    """Speech of `ms` milliseconds in the quiet that a turn detector needs."""
    return silence(300) + speech(ms) + silence(1_200)


def interruption():
    """A word thrown in."""
    return cutting_in() + falling_silent()


def cutting_in():
    """The word, without the silence that ends the turn.

    For a client that answers `speech_started` with a cancel of its own: it speaks no faster
    than time passes, and with the turn's end already on its way it would cancel the next
    answer.
    """
    return silence(100) + speech(500)


def falling_silent():
    """The silence that ends the turn."""
    return silence(1_200)


def chunks(pcm, ms=CHUNK_MS, rate=RATE):
    size = 2 * rate * ms // 1000
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def base64_text(pcm):
    return base64.b64encode(pcm).decode("ascii")


def audible_ms(pcm, rate=RATE):
    """Milliseconds of 16-bit mono PCM; fails on silence, which no answer consists of."""
    samples = array.array("h")
    samples.frombytes(pcm[: len(pcm) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    check(samples and max(map(abs, samples)) > 1000, "the answer's audio is silent")
    return len(samples) * 1000 // rate


def check(condition, message):
    if not condition:
        raise AssertionError(message)


def check_equal(found, expected, what):
    check(found == expected, f"{what}: expected {expected!r}, found {found!r}")


async def stream(send, pcm, ms=CHUNK_MS, rate=RATE):
    """Gives `pcm` to `send` in chunks, as fast as they are taken."""
    for chunk in chunks(pcm, ms, rate):
        await send(chunk)


class Watch:
    """Waits until what a client reports satisfies a condition.

    Clients report by callbacks; those change the driver's state and call `changed`. What
    changes without a callback is looked at again after a while.
    """

    def __init__(self):
        self._event = asyncio.Event()

    def changed(self):
        self._event.set()

    async def until(self, condition, what, seconds=15.0):
        end = asyncio.get_running_loop().time() + seconds
        while not condition():
            left = end - asyncio.get_running_loop().time()
            check(left > 0, f"waited {seconds:.0f} s in vain for {what}")
            self._event.clear()
            try:
                await asyncio.wait_for(self._event.wait(), min(left, 0.2))
            except asyncio.TimeoutError:
                pass


def run(scenarios, if_named=None):
    """Runs the scenarios (name: coroutine function) that the command line names, or all but those
    that are run only if it names them."""
    chosen = sys.argv[1:] or list(scenarios)
    known = scenarios | (if_named or {})
    asyncio.run(_run({name: known[name] for name in chosen}))
    sys.stdout.flush()
    # Some clients leave threads behind that would keep the process.
    os._exit(0)


async def _run(scenarios):
    for name, scenario in scenarios.items():
        try:
            await asyncio.wait_for(scenario(), SCENARIO_LIMIT)
            result, detail = "pass", ""
        except NotApplicable as reason:
            result, detail = "n/a", str(reason)
        except asyncio.TimeoutError:
            result, detail = "fail", f"not done after {SCENARIO_LIMIT:.0f} s"
        except Exception as error:  # a driver's faults are the scenario's
            traceback.print_exc()
            result, detail = "fail", f"{type(error).__name__}: {error}"
        print(json.dumps({"scenario": name, "result": result, "detail": detail}), flush=True)


def realtime_url(model=MODEL):
    return f"{WS}/v1/realtime?model={urllib.parse.quote(model)}"
