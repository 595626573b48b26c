"""openai-python's Realtime connection, as an application would use it: `openai_python.py ga|beta [SCENARIO ...]`."""

import json
import sys

from openai import AsyncOpenAI

import harness
from harness import check, check_equal
from openai_talk import BETA, GA, Talk, answer

DIALECT = sys.argv.pop(1)

NAMES = GA if DIALECT == "ga" else BETA


def connect():
    if DIALECT == "ga":
        client = AsyncOpenAI(api_key=harness.KEY, base_url=f"{harness.HTTP}/v1")
        return client.realtime.connect(model=harness.MODEL)
    client = AsyncOpenAI(
        api_key=harness.KEY,
        base_url=f"{harness.HTTP}/v1",
        websocket_base_url=f"{harness.WS}/v1",
    )
    return client.beta.realtime.connect(model="gpt-4o-realtime-preview-2024-10-01")


def settings(instructions=None, text=False, transcription=False, vad=True, tools=None):
    """A `session.update` in the dialect's shape."""
    detection = {"type": "server_vad", "silence_duration_ms": 400} if vad else None
    heard = {"model": "whisper-1"} if transcription else None
    changed = {"instructions": instructions} if instructions is not None else {}
    if tools:
        changed |= {"tools": tools, "tool_choice": "auto"}
    if DIALECT == "ga":
        audio = {"input": {"turn_detection": detection, "transcription": heard}}
        modalities = {"output_modalities": ["text" if text else "audio"]}
        return changed | modalities | {"type": "realtime", "audio": audio}
    return changed | {
        "modalities": ["text"] if text else ["text", "audio"],
        "turn_detection": detection,
        "input_audio_transcription": heard,
    }


async def connects():
    async with connect() as connection:
        talk = Talk(connection, NAMES)
        created = await talk.until("session.created")
        check_equal(len(talk.events), 1, "events up to session.created")
        check(created.session.id.startswith("sess_"), "the session has an id")
        await connection.session.update(session=settings(instructions="Be brief."))
        updated = (await talk.until("session.updated")).session
        check_equal(updated.instructions, "Be brief.", "instructions")
        if DIALECT == "ga":
            check_equal(updated.type, "realtime", "session type")
            check_equal(updated.audio.input.turn_detection.silence_duration_ms, 400, "silence")
        else:
            check_equal(sorted(updated.modalities), ["audio", "text"], "modalities")
            check_equal(updated.turn_detection.silence_duration_ms, 400, "silence")
            check_equal(updated.input_audio_format, "pcm16", "input format")


async def text_turn():
    async with connect() as connection:
        talk = Talk(connection, NAMES)
        await talk.begin(settings(text=True))
        await talk.say("Good morning")
        done = await talk.until("response.done")
        check_equal(done.response.status, "completed", "status")
        check_equal(answer(done.response), harness.GREETING, "answer")
        check_equal(talk.text(NAMES["text"]), harness.GREETING, "deltas")
        check_equal(talk.of(f"{NAMES['text']}.done")[0].text, harness.GREETING, "text.done")
        check_equal(len(talk.of(NAMES["item"])), 2, "items announced")
        check(done.response.usage.total_tokens > 0, "tokens are counted")


async def audio_turn():
    async with connect() as connection:
        talk = Talk(connection, NAMES)
        await talk.begin(settings(transcription=True))
        await talk.speak(harness.utterance())
        done = await talk.until("response.done")
        heard = await talk.until("conversation.item.input_audio_transcription.completed")
        check_equal(heard.transcript.strip(), harness.HEARD, "what was heard")
        started = talk.of("input_audio_buffer.speech_started")[0]
        stopped = talk.of("input_audio_buffer.speech_stopped")[0]
        check(
            1_500 <= stopped.audio_end_ms - started.audio_start_ms <= 3_500,
            f"the turn lasts {started.audio_start_ms} to {stopped.audio_end_ms} ms",
        )
        ids = {started.item_id, stopped.item_id, heard.item_id}
        ids.add(talk.of("input_audio_buffer.committed")[0].item_id)
        check_equal(len(ids), 1, "ids of the turn's item")
        check_equal(done.response.status, "completed", "status")
        check_equal(answer(done.response), harness.GREETING, "answer")
        check_equal(talk.text(NAMES["transcript"]), harness.GREETING, "transcript deltas")
        check(harness.audible_ms(talk.audio()) > 500, "the answer can be heard")


async def tool_call():
    async with connect() as connection:
        talk = Talk(connection, NAMES)
        await talk.begin(settings(tools=[harness.WEATHER_TOOL]))
        await talk.say("What is the weather like?")
        done = await talk.until("response.done")
        call = next(item for item in done.response.output if item.type == "function_call")
        check_equal((call.name, json.loads(call.arguments)), ("get_weather", {"city": "Paris"}), "call")
        pieces = talk.text("response.function_call_arguments")
        check_equal(pieces, call.arguments, "argument deltas")
        output = {"type": "function_call_output", "call_id": call.call_id, "output": '{"sky":"sunny"}'}
        await connection.conversation.item.create(item=output)
        await connection.response.create()
        done = await talk.until("response.done", 2)
        check_equal(answer(done.response), harness.WEATHER, "answer")


async def barge_in():
    async with connect() as connection:
        talk = Talk(connection, NAMES)
        await talk.begin(settings(transcription=True))
        await talk.say("Tell me a story")
        delta = await talk.until(f"{NAMES['audio']}.delta")
        await talk.speak(harness.interruption())
        done = await talk.until("response.done")
        check_equal(done.response.status, "cancelled", "status")
        check_equal(done.response.status_details.reason, "turn_detected", "reason")
        check_equal(done.response.output[0].status, "incomplete", "the item's status")
        said = answer(done.response)
        check(harness.STORY_BEGINS in said, f"the story began: {said!r}")
        check(harness.STORY_ENDS not in said, "the story was cut short")
        await connection.conversation.item.truncate(
            item_id=delta.item_id, content_index=delta.content_index, audio_end_ms=300
        )
        truncated = await talk.until("conversation.item.truncated")
        check_equal((truncated.item_id, truncated.audio_end_ms), (delta.item_id, 300), "truncation")
        done = await talk.until("response.done", 2)
        check_equal(answer(done.response), harness.STOPPED, "answer to the interruption")


async def failure():
    async with connect() as connection:
        talk = Talk(connection, NAMES)
        await talk.begin(settings(text=True))
        await talk.say("Please break off")
        done = await talk.until("response.done")
        check_equal(done.response.status, "failed", "status")
        check(done.response.status_details.error.code, "the error has a code")
        check(answer(done.response).startswith(harness.BROKEN_OFF), "what was said stays")
        await talk.say("Good morning")
        done = await talk.until("response.done", 2)
        check_equal(answer(done.response), harness.GREETING, "the next answer")


harness.run(
    {
        "connect": connects,
        "text": text_turn,
        "audio": audio_turn,
        "tool": tool_call,
        "barge-in": barge_in,
    },
    if_named={"failure": failure},
)
