"""What the conversations of the other drivers do not reach, through openai-python's connection."""

import array
import base64
from contextlib import asynccontextmanager

from openai import AsyncOpenAI

import harness
from harness import check, check_equal
from openai_talk import Talk, answer

DETECTION = {"type": "server_vad", "silence_duration_ms": 400}
TRANSCRIPTION = {"model": "whisper-1"}
PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@asynccontextmanager
async def conversation(session=None, **target):
    client = AsyncOpenAI(api_key=harness.KEY, base_url=f"{harness.HTTP}/v1")
    async with client.realtime.connect(**(target or {"model": harness.MODEL})) as connection:
        talk = Talk(connection)
        if session is not None:
            await talk.begin({"type": "realtime", **session})
        yield talk


def hearing(detection=DETECTION, transcription=TRANSCRIPTION, **fields):
    return {"audio": {"input": {"turn_detection": detection, "transcription": transcription, **fields}}}


def message(text, role="user", **fields):
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **fields}


async def bookkeeping():
    async with conversation({**hearing(detection=None), "output_modalities": ["audio"]}) as talk:
        items = talk.connection.conversation.item
        for at, (item, where) in enumerate(
            [
                (message("one", id="item_one"), {}),
                (message("zero", role="system", id="item_zero"), {"previous_item_id": "root"}),
                (message("half", role="assistant", id="item_half"), {"previous_item_id": "item_zero"}),
            ]
        ):
            await items.create(item=item, **where)
            await talk.until("conversation.item.done", at + 1)
        added = [(event.item.id, event.previous_item_id) for event in talk.of("conversation.item.added")]
        places = [("item_one", None), ("item_zero", None), ("item_half", "item_zero")]
        check_equal(added, places, "items and what stands before them")

        await items.delete(item_id="item_one")
        check_equal((await talk.until("conversation.item.deleted")).item_id, "item_one", "item deleted")

        await talk.speak(harness.speech(500))
        await talk.connection.input_audio_buffer.commit()
        spoken = (await talk.until("input_audio_buffer.committed")).item_id
        await items.retrieve(item_id=spoken)
        part = (await talk.until("conversation.item.retrieved")).item.content[0]
        check(480 <= harness.audible_ms(base64.b64decode(part.audio)) <= 520, "the user's audio is kept")

        await items.create(item=message("Good morning"))
        await talk.connection.response.create()
        said = (await talk.until("response.done")).response.output[0]
        await items.truncate(item_id=said.id, content_index=0, audio_end_ms=500)
        await talk.until("conversation.item.truncated")
        await items.retrieve(item_id=said.id)
        part = (await talk.until("conversation.item.retrieved", 2)).item.content[0]
        check_equal(harness.audible_ms(base64.b64decode(part.audio)), 500, "milliseconds left of the answer")


async def images():
    async with conversation({"output_modalities": ["text"]}) as talk:
        look = {"type": "input_image", "image_url": PIXEL}
        question = {"type": "input_text", "text": "What is this?"}
        item = {"type": "message", "role": "user", "content": [look, question]}
        await talk.connection.conversation.item.create(item=item)
        kept = (await talk.until("conversation.item.done")).item.content[0]
        check_equal((kept.type, kept.image_url), ("input_image", PIXEL), "the image")
        await talk.connection.response.create()
        response = (await talk.until("response.done")).response
        if response.status == "failed":
            error = response.status_details.error
            check("image" in (error.message or ""), f"the failure names the image: {error}")
        else:
            check_equal(response.status, "completed", "status")


async def push_to_talk():
    async with conversation(hearing(detection=None)) as talk:
        buffer = talk.connection.input_audio_buffer
        await talk.speak(harness.interruption())
        await buffer.clear()
        await talk.until("input_audio_buffer.cleared")
        await talk.speak(harness.utterance())
        await buffer.commit()
        heard = await talk.until("conversation.item.input_audio_transcription.completed")
        check_equal(heard.transcript.strip(), harness.HEARD, "what was heard")
        check_equal(talk.of("input_audio_buffer.speech_started"), [], "detections")
        check_equal(talk.of("response.created"), [], "responses nobody asked for")
        await talk.connection.response.create()
        check_equal(answer((await talk.until("response.done")).response), harness.GREETING, "answer")


async def client_turns():
    detection = {**DETECTION, "create_response": False, "interrupt_response": False}
    async with conversation(hearing(detection)) as talk:
        await talk.speak(harness.utterance())
        await talk.until("conversation.item.input_audio_transcription.completed")
        check_equal(talk.of("response.created"), [], "responses nobody asked for")
        await talk.say("Tell me a story")
        await talk.until("response.output_audio.delta")
        await talk.speak(harness.interruption())
        await talk.until("conversation.item.input_audio_transcription.completed", 2)
        check_equal(talk.of("response.done"), [], "responses that speech has ended")
        await talk.connection.response.cancel()
        response = (await talk.until("response.done")).response
        ended = (response.status, response.status_details.reason)
        check_equal(ended, ("cancelled", "client_cancelled"), "how the story ended")


async def out_of_band():
    async with conversation({"output_modalities": ["text"]}) as talk:
        await talk.connection.conversation.item.create(item=message("Good morning", id="item_greeting"))
        await talk.until("conversation.item.done")
        await talk.say("Tell me a story")
        story = (await talk.until("response.created")).response
        for topic, source in (
            ("reference", {"type": "item_reference", "id": "item_greeting"}),
            ("raw", message("What is the answer?")),
        ):
            await talk.connection.response.create(
                response={
                    "conversation": "none",
                    "metadata": {"topic": topic},
                    "output_modalities": ["text"],
                    "input": [source],
                }
            )
        await talk.until("response.created", 3)
        check_equal(talk.of("response.done"), [], "responses done when the third began")
        await talk.connection.response.cancel(response_id=story.id)
        await talk.until("response.done", 3)
        done = {event.response.id: event.response for event in talk.of("response.done")}
        check_equal(done.pop(story.id).status, "cancelled", "how the story ended")
        beside = {response.metadata["topic"]: response for response in done.values()}
        check_equal(answer(beside["reference"]), harness.GREETING, "answer to the reference")
        check_equal(answer(beside["raw"]), "You said: What is the answer?", "answer to the raw item")
        check_equal({response.conversation_id for response in beside.values()}, {None}, "conversations")
        owned = {item.id for response in beside.values() for item in response.output}
        announced = {event.item.id for event in talk.of("conversation.item.added")}
        check_equal(owned & announced, set(), "items of theirs in the conversation")


async def formats():
    session = hearing(format={"type": "audio/pcmu"})
    session["audio"]["output"] = {"format": {"type": "audio/pcma"}}
    async with conversation(session) as talk:
        law = mu_law(harness.silence(300, 8_000) + harness.speech(2_000, 8_000) + harness.silence(1_200, 8_000))
        for at in range(0, len(law), 799):
            await talk.connection.input_audio_buffer.append(audio=harness.base64_text(law[at : at + 799]))
        response = (await talk.until("response.done")).response
        check_equal(answer(response), harness.GREETING, "answer")
        spoken_ms = len(talk.audio()) / 8
        check(500 < spoken_ms < 5_000, f"at 8 bytes a millisecond the answer lasts {spoken_ms:.0f} ms")
        await talk.connection.conversation.item.truncate(
            item_id=response.output[0].id, content_index=0, audio_end_ms=int(spoken_ms)
        )
        await talk.until("conversation.item.truncated")


def mu_law(pcm):
    """G.711 µ-law of 16-bit samples."""
    samples = array.array("h")
    samples.frombytes(pcm)
    law = bytearray()
    for sample in samples:
        sign, magnitude = (0x80, -sample) if sample < 0 else (0, sample)
        magnitude = min(magnitude, 32_635) + 132
        exponent = magnitude.bit_length() - 8
        mantissa = magnitude >> (exponent + 3) & 0x0F
        law.append(~(sign | exponent << 4 | mantissa) & 0xFF)
    return bytes(law)


async def idle_timeout():
    async with conversation(hearing({**DETECTION, "idle_timeout_ms": 5_000})) as talk:
        await talk.say("Good morning")
        await talk.until("response.done")
        timeout = await talk.until("input_audio_buffer.timeout_triggered")
        check(timeout.audio_end_ms >= timeout.audio_start_ms, "its times are in order")
        committed = await talk.until("input_audio_buffer.committed")
        check_equal(committed.item_id, timeout.item_id, "the item of the silence")
        await talk.until("response.done", 2)


async def transcription_details():
    include = ["item.input_audio_transcription.logprobs"]
    async with conversation({**hearing(), "include": include}) as talk:
        await talk.speak(harness.utterance())
        kind = "conversation.item.input_audio_transcription"
        heard = await talk.until(f"{kind}.completed")
        check(heard.usage.type in ("tokens", "duration"), "the transcript's usage is told")
        check_equal("".join(event.delta for event in talk.of(f"{kind}.delta")), heard.transcript, "deltas")
        for event in [heard, *talk.of(f"{kind}.delta")]:
            check(event.logprobs, f"{event.type} has log probabilities")
    async with conversation(hearing(transcription={"model": "gpt-4o-transcribe-diarize"})) as talk:
        await talk.speak(harness.utterance())
        segment = await talk.until("conversation.item.input_audio_transcription.segment")
        check_equal(segment.text.strip(), harness.HEARD, "the segment's text")
        check(segment.speaker and 0 <= segment.start < segment.end, "it has a speaker and times")


async def transcription_failure():
    async with conversation(hearing()) as talk:
        await talk.speak(harness.utterance(5_500))
        failed = await talk.until("conversation.item.input_audio_transcription.failed")
        check("melted" in failed.error.message, f"the engine's words are passed on: {failed.error}")
        await talk.until("response.done")
        await talk.say("Good morning")
        check_equal(answer((await talk.until("response.done", 2)).response), harness.GREETING, "answer")


async def transcription_session():
    async with conversation(extra_query={"intent": "transcription"}) as talk:
        created = (await talk.until("session.created")).session
        check_equal(created.type, "transcription", "session type")
        await talk.connection.session.update(session={"type": "transcription", **hearing()})
        updated = (await talk.until("session.updated")).session
        check_equal(updated.audio.input.transcription.model, "whisper-1", "transcription model")
        await talk.speak(harness.utterance())
        heard = await talk.until("conversation.item.input_audio_transcription.completed")
        check_equal(heard.transcript.strip(), harness.HEARD, "what was heard")
        await talk.connection.response.create()
        await talk.until("error")
        check_equal(talk.of("response.created"), [], "responses")


async def token_limit():
    async with conversation({"output_modalities": ["text"]}) as talk:
        await talk.connection.conversation.item.create(item=message("Good morning"))
        await talk.connection.response.create(response={"max_output_tokens": 3})
        response = (await talk.until("response.done")).response
        ended = (response.status, response.status_details.reason)
        check_equal(ended, ("incomplete", "max_output_tokens"), "how the response ended")
        check_equal(answer(response), "Good morning. I", "what was said until then")
        check_equal(response.output[0].status, "incomplete", "the item's status")


async def rate_limits():
    async with conversation({"output_modalities": ["text"]}) as talk:
        await talk.say("Good morning")
        limits = (await talk.until("rate_limits.updated")).rate_limits
        check(limits, "there are limits")
        for limit in limits:
            check(limit.name in ("requests", "tokens"), f"name: {limit.name}")
            check(0 <= limit.remaining < limit.limit, f"{limit.remaining} of {limit.limit} remain")
            check(limit.reset_seconds > 0, f"reset in {limit.reset_seconds} s")


async def errors():
    mistakes = [
        ({"type": "session.update", "session": {}}, "missing_required_parameter"),
        ({"type": "session.update", "session": {"type": "realtime", "colour": 1}}, "unknown_parameter"),
        ({"type": "response.cancel"}, "response_cancel_not_active"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
        ({"type": "conversation.item.delete", "item_id": "item_no"}, "item_delete_invalid_item_id"),
        ({"type": "conversation.item.retrieve", "item_id": "item_no"}, "item_retrieve_invalid_item_id"),
        (
            {"type": "conversation.item.truncate", "item_id": "item_no", "content_index": 0, "audio_end_ms": 0},
            "item_truncate_invalid_item_id",
        ),
        (
            {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "no", "output": ""}},
            "invalid_tool_call_id",
        ),
        ({"type": "output_audio_buffer.clear"}, "invalid_value"),
        ({"type": "no.such.event"}, "invalid_value"),
    ]
    async with conversation({"output_modalities": ["text"]}) as talk:
        for at, (event, code) in enumerate(mistakes, 1):
            await talk.connection.send({**event, "event_id": f"mistake_{at}"})
            error = (await talk.until("error", at)).error
            check_equal((error.code, error.event_id), (code, f"mistake_{at}"), f"error for {event['type']}")
        items = talk.connection.conversation.item
        await items.create(item=message("Good morning", id="item_twice"))
        await items.create(item=message("Good morning", id="item_twice"), event_id="twice")
        error = (await talk.until("error", len(mistakes) + 1)).error
        check_equal((error.code, error.event_id), ("item_create_duplicate_item_id", "twice"), "duplicate")
        await talk.say("Tell me a story")
        await talk.connection.response.create(event_id="second")
        error = (await talk.until("error", len(mistakes) + 2)).error
        code = "conversation_already_has_active_response"
        check_equal((error.code, error.event_id), (code, "second"), "second response")
        await talk.connection.response.cancel()
        await talk.until("response.done")


harness.run(
    {
        "bookkeeping": bookkeeping,
        "images": images,
        "push-to-talk": push_to_talk,
        "client-turns": client_turns,
        "out-of-band": out_of_band,
        "formats": formats,
        "idle-timeout": idle_timeout,
        "transcription-details": transcription_details,
        "transcription-failure": transcription_failure,
        "transcription-session": transcription_session,
        "token-limit": token_limit,
        "rate-limits": rate_limits,
        "errors": errors,
    }
)
