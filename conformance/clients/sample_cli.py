"""The command line clients of October 2024, line by line of their checklist: a WebSocket driven
by hand, in the beta dialect. Nothing but the key and the beta's header says what it is."""

import asyncio
import base64
import json
import os
import signal
from contextlib import asynccontextmanager

import websockets
from websockets.asyncio.client import connect

import harness
from harness import check, check_equal

URL = harness.realtime_url("gpt-4o-realtime-preview-2024-10-01")
HEADERS = {"Authorization": f"Bearer {harness.KEY}", "OpenAI-Beta": "realtime=v1"}

SESSION = {
    "modalities": ["text", "audio"],
    "instructions": "Be brief.",
    "voice": "alloy",
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "input_audio_transcription": {"model": "whisper-1"},
    "turn_detection": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 400,
    },
    "temperature": 0.8,
    "max_response_output_tokens": 4096,
    "tools": [],
    "tool_choice": "auto",
}

# The beta as it was published in November 2024, which is what such a client could know.
SERVER_EVENTS = {
    "conversation.created",
    "conversation.item.created",
    "conversation.item.deleted",
    "conversation.item.input_audio_transcription.completed",
    "conversation.item.input_audio_transcription.failed",
    "conversation.item.truncated",
    "error",
    "input_audio_buffer.cleared",
    "input_audio_buffer.committed",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "rate_limits.updated",
    "response.audio.delta",
    "response.audio.done",
    "response.audio_transcript.delta",
    "response.audio_transcript.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.created",
    "response.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.added",
    "response.output_item.done",
    "response.text.delta",
    "response.text.done",
    "session.created",
    "session.updated",
}
# Came in 2025 and is useful; clients of 2024 ignore unknown events.
LATER_EVENTS = {"conversation.item.input_audio_transcription.delta"}

TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


class Talk:
    def __init__(self, socket):
        self.socket = socket
        self.frames = []
        self.events = []

    async def send(self, kind, **fields):
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, name, count=1, seconds=15):
        """The event of that type that is number `count` of this connection, read already or not."""
        while len(self.of(name)) < count:
            try:
                frame = await asyncio.wait_for(self.socket.recv(), seconds)
            except asyncio.TimeoutError:
                raise AssertionError(f"waited {seconds} s in vain for {name}") from None
            self.frames.append(frame)
            self.events.append(json.loads(frame))
            if self.events[-1]["type"] == "error" and name != "error":
                raise AssertionError(f"the server answered with an error: {self.events[-1]['error']}")
        return self.of(name)[count - 1]

    def of(self, name):
        return [event for event in self.events if event["type"] == name]

    def order(self, *names):
        """The positions of the first events of these types must ascend."""
        kinds = [event["type"] for event in self.events]
        places = [kinds.index(name) for name in names]
        check(places == sorted(places), f"order: {[kinds[place] for place in sorted(places)]}")

    def audio(self):
        return b"".join(base64.b64decode(event["delta"]) for event in self.of("response.audio.delta"))

    async def begin(self, **changes):
        await self.until("session.created")
        await self.send("session.update", session={**SESSION, **changes})
        return (await self.until("session.updated"))["session"]

    async def speak(self, pcm, ms=harness.CHUNK_MS):
        async def append(chunk):
            await self.send("input_audio_buffer.append", audio=harness.base64_text(chunk))

        await harness.stream(append, pcm, ms=ms)

    async def say(self, text):
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.send("conversation.item.create", item=item)
        await self.send("response.create")


@asynccontextmanager
async def conversation():
    async with connect(URL, additional_headers=HEADERS, max_size=None) as socket:
        yield Talk(socket)


async def handshake():
    async with conversation() as talk:
        check_equal(talk.socket.response.status_code, 101, "status")
        check("Sec-WebSocket-Protocol" not in talk.socket.response.headers, "no subprotocol is selected")
        await talk.until("session.created")
    strange = harness.realtime_url("a model nobody has")
    async with connect(strange, additional_headers=HEADERS) as socket:
        check_equal(json.loads(await socket.recv())["type"], "session.created", "with a strange model")


async def session_created():
    async with conversation() as talk:
        # Clients may send before they have read anything.
        await talk.send("session.update", session=SESSION)
        session = (await talk.until("session.created"))["session"]
        check_equal(len(talk.events), 1, "events up to session.created")
        check_equal(session["object"], "realtime.session", "object")
        check(session["id"].startswith("sess_"), "the session has an id")
        expected = {*SESSION, "id", "object", "model"}
        check(expected <= set(session), f"missing: {expected - set(session)}")
        check_equal(session["model"], "gpt-4o-realtime-preview-2024-10-01", "model")
        check(not {"audio", "type", "output_modalities"} & set(session), "nothing of GA's session")
        await talk.until("session.updated")


async def session_update():
    async with conversation() as talk:
        session = await talk.begin()
        session["modalities"].sort(reverse=True)
        # Later members of turn_detection may stand beside those of 2024.
        session["turn_detection"] = {key: session["turn_detection"].get(key) for key in SESSION["turn_detection"]}
        for key, value in SESSION.items():
            check_equal(session[key], value, key)
        await talk.send("session.update", event_id="bad_voice", session={"voice": "nobody"})
        check_equal((await talk.until("error"))["error"]["event_id"], "bad_voice", "error's event_id")
        await talk.send("session.update", session={"instructions": "Be long."})
        session = (await talk.until("session.updated", 2))["session"]
        check_equal((session["instructions"], session["voice"]), ("Be long.", "alloy"), "what was kept")
        for voice in ("alloy", "echo", "shimmer", "ash", "ballad", "coral", "sage", "verse"):
            await talk.send("session.update", session={"voice": voice})
        await talk.until("session.updated", 10)


async def append():
    async with conversation() as talk:
        await talk.begin()
        await talk.speak(harness.silence(500), ms=20)
        await talk.speak(harness.silence(500), ms=100)
        odd = harness.silence(100)
        for at in range(0, len(odd), 333):
            await talk.send("input_audio_buffer.append", audio=harness.base64_text(odd[at : at + 333]))
        await talk.send("input_audio_buffer.clear")
        await talk.until("input_audio_buffer.cleared")
        check_equal([event["type"] for event in talk.events[-2:]], ["session.updated", "input_audio_buffer.cleared"], "events")


async def speech_started():
    async with conversation() as talk:
        await talk.begin()
        await talk.say("Tell me a story")
        await talk.until("response.audio.delta")
        await talk.speak(harness.interruption())
        started = await talk.until("input_audio_buffer.speech_started")
        check(started["audio_start_ms"] >= 0 and started["item_id"], "it has a time and an item")
        response = (await talk.until("response.done"))["response"]
        check_equal(response["status"], "cancelled", "status")
        details = {key: response["status_details"].get(key) for key in ("type", "reason")}
        check_equal(details, {"type": "cancelled", "reason": "turn_detected"}, "details")
        talk.order("input_audio_buffer.speech_started", "response.done")


async def spoken_turn():
    """A whole spoken turn, judged by several lines of the list."""
    async with conversation() as talk:
        await talk.begin()
        await talk.speak(harness.utterance())
        await talk.until("response.done")
        await talk.until(TRANSCRIBED)
        return talk


async def turn_order():
    talk = await spoken_turn()
    talk.order(
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.audio.delta",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    )
    created = talk.of("conversation.item.created")
    check_equal([event["item"]["role"] for event in created], ["user", "assistant"], "items created")
    assistant = created[1]["item"]
    check_equal((assistant["object"], assistant["status"], assistant["content"]), ("realtime.item", "in_progress", []), "the answer's item")


async def audio_delta():
    talk = await spoken_turn()
    for delta in talk.of("response.audio.delta"):
        check({"response_id", "item_id", "output_index", "content_index"} <= set(delta), "its ids and indexes")
    check(harness.audible_ms(talk.audio()) > 500, "the answer can be heard")


async def transcript():
    talk = await spoken_turn()
    deltas = "".join(event["delta"] for event in talk.of("response.audio_transcript.delta"))
    check_equal(deltas, harness.GREETING, "deltas")
    check_equal(talk.of("response.audio_transcript.done")[0]["transcript"], harness.GREETING, "transcript")


async def transcription():
    talk = await spoken_turn()
    heard = talk.of(TRANSCRIBED)[0]
    check_equal(heard["transcript"].strip(), harness.HEARD, "what was heard")
    check_equal(heard["content_index"], 0, "content index")
    check_equal(heard["item_id"], talk.of("input_audio_buffer.committed")[0]["item_id"], "item")
    async with conversation() as talk:
        await talk.begin(input_audio_transcription=None)
        await talk.speak(harness.utterance())
        await talk.until("response.done")
        # A round trip later there is still none.
        await talk.send("input_audio_buffer.clear")
        await talk.until("input_audio_buffer.cleared")
        check_equal(talk.of(TRANSCRIBED), [], "transcripts nobody configured")


async def errors():
    async with conversation() as talk:
        await talk.begin()
        await talk.send("no.such.event", event_id="unknown")
        error = (await talk.until("error"))["error"]
        check({"type", "code", "message", "param", "event_id"} <= set(error), f"members: {sorted(error)}")
        check(error["message"] and error["event_id"] == "unknown", f"error: {error}")
        await talk.say("Good morning")
        check_equal((await talk.until("response.done"))["response"]["status"], "completed", "the answer after it")


async def optional_events():
    async with conversation() as talk:
        await talk.begin(turn_detection=None)
        await talk.speak(harness.utterance())
        await talk.send("input_audio_buffer.commit")
        committed = await talk.until("input_audio_buffer.committed")
        created = await talk.until("conversation.item.created")
        check_equal(created["item"]["id"], committed["item_id"], "the item committed")
        await talk.send("response.create", response={"modalities": ["text", "audio"], "instructions": "Be kind."})
        said = (await talk.until("response.done"))["response"]["output"][0]
        await talk.send("conversation.item.truncate", item_id=said["id"], content_index=0, audio_end_ms=300)
        check_equal((await talk.until("conversation.item.truncated"))["audio_end_ms"], 300, "truncation")
        await talk.say("Tell me a story")
        await talk.until("response.created", 2)
        await talk.send("response.cancel")
        response = (await talk.until("response.done", 2))["response"]
        check_equal(response["status"], "cancelled", "status of the cancelled response")
        history = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "I said so."}]}
        items = len(talk.of("conversation.item.created"))
        await talk.send("conversation.item.create", item=history)
        await talk.until("conversation.item.created", items + 1)
        kept = talk.of("conversation.item.created")[-1]["item"]
        check_equal(kept["content"][0]["type"], "text", "content type of the history")
        await talk.send("conversation.item.delete", item_id=kept["id"])
        await talk.until("conversation.item.deleted")


async def function_turn(talk):
    parameters = harness.WEATHER_TOOL
    await talk.begin(tools=[parameters], modalities=["text"])
    await talk.say("What is the weather like?")
    return (await talk.until("response.done"))["response"]


async def response_done():
    async with conversation() as talk:
        response = await function_turn(talk)
        expected = {"id", "object", "status", "status_details", "output", "usage"}
        check(expected <= set(response), f"missing: {expected - set(response)}")
        check_equal((response["object"], response["status"]), ("realtime.response", "completed"), "response")
        call = next(item for item in response["output"] if item["type"] == "function_call")
        check_equal((call["object"], call["name"]), ("realtime.item", "get_weather"), "call")
        check_equal(talk.of("response.function_call_arguments.done")[0]["arguments"], call["arguments"], "arguments")
        check(response["usage"]["total_tokens"] > 0, "tokens are counted")
        check("audio" not in response and "output_modalities" not in response, "nothing of GA's response")


async def text():
    async with conversation() as talk:
        await talk.begin(modalities=["text"])
        await talk.say("Good morning")
        response = (await talk.until("response.done"))["response"]
        check_equal("".join(event["delta"] for event in talk.of("response.text.delta")), harness.GREETING, "deltas")
        check_equal(talk.of("response.text.done")[0]["text"], harness.GREETING, "text")
        check_equal(response["output"][0]["content"], [{"type": "text", "text": harness.GREETING}], "content")
        parts = [event["part"]["type"] for event in talk.of("response.content_part.added")]
        check_equal(parts, ["text"], "parts")


async def no_extras():
    talk = await spoken_turn()
    events = talk.events
    async with conversation() as talk:
        await function_turn(talk)
        events += talk.events
    kinds = {event["type"] for event in events}
    check_equal(kinds - SERVER_EVENTS - LATER_EVENTS, set(), "events the beta did not have")
    check(not any("obfuscation" in event for event in events), "no padding")
    types = {part["type"] for event in events for part in (event.get("item") or {}).get("content") or []}
    check(not types & {"output_text", "output_audio"}, f"content types: {types}")


async def frames():
    talk = await spoken_turn()
    check(all(isinstance(frame, str) for frame in talk.frames), "all frames are text")
    check(all(isinstance(event, dict) and event.get("type") for event in talk.events), "each is an event")
    ids = [event["event_id"] for event in talk.events]
    check_equal(len(set(ids)), len(ids), "different event ids")


async def closing():
    # Last of all: the server is told to stop.
    if "KAIWA_PID" not in os.environ:
        raise harness.NotApplicable("the server was not started by this run, so it is not stopped")
    async with conversation() as talk:
        await talk.begin()
        os.kill(int(os.environ["KAIWA_PID"]), signal.SIGINT)
        try:
            await talk.until("no.such.event")
        except websockets.ConnectionClosed as closed:
            check(closed.rcvd is not None, "the connection was closed in form")
            check_equal(closed.rcvd.code, 1000, "close code")


harness.run(
    {
        "01-handshake": handshake,
        "02-session-created": session_created,
        "03-session-update": session_update,
        "04-append": append,
        "05-speech-started": speech_started,
        "06-turn-order": turn_order,
        "07-audio-delta": audio_delta,
        "08-transcript": transcript,
        "09-transcription": transcription,
        "10-error": errors,
        "11-optional-events": optional_events,
        "12-response-done": response_done,
        "13-text": text,
        "14-no-extras": no_extras,
        "15-frames": frames,
        "16-close": closing,
    }
)
