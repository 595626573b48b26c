"""What the beta's conversations do not reach, through openai-python's beta connection."""

import base64
from contextlib import asynccontextmanager

from openai import AsyncOpenAI

import harness
from harness import check, check_equal
from openai_talk import BETA, Talk, answer

DETECTION = {"type": "server_vad", "silence_duration_ms": 400}


@asynccontextmanager
async def conversation(session=None, **target):
    client = AsyncOpenAI(
        api_key=harness.KEY, base_url=f"{harness.HTTP}/v1", websocket_base_url=f"{harness.WS}/v1"
    )
    model = "gpt-4o-realtime-preview-2024-12-17"
    async with client.beta.realtime.connect(model=model, **target) as connection:
        talk = Talk(connection, BETA)
        if session is not None:
            await talk.begin(session)
        yield talk


async def retrieve():
    async with conversation({"turn_detection": None}) as talk:
        await talk.speak(harness.speech(500))
        await talk.connection.input_audio_buffer.commit()
        spoken = (await talk.until("input_audio_buffer.committed")).item_id
        await talk.connection.conversation.item.retrieve(item_id=spoken)
        item = (await talk.until("conversation.item.retrieved")).item
        check_equal((item.id, item.role), (spoken, "user"), "the item")
        audio = base64.b64decode(item.content[0].audio)
        check(480 <= harness.audible_ms(audio) <= 520, "the user's audio is kept")


async def transcription_failure():
    session = {"turn_detection": DETECTION, "input_audio_transcription": {"model": "whisper-1"}}
    async with conversation(session) as talk:
        await talk.speak(harness.utterance(5_500))
        failed = await talk.until("conversation.item.input_audio_transcription.failed")
        check("melted" in failed.error.message, f"the engine's words are passed on: {failed.error}")
        await talk.until("response.done")
        await talk.say("Good morning")
        check_equal(answer((await talk.until("response.done", 2)).response), harness.GREETING, "answer")


async def transcription_session():
    async with conversation(extra_query={"intent": "transcription"}) as talk:
        await talk.connection.transcription_session.update(
            session={
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "whisper-1"},
                "turn_detection": DETECTION,
            }
        )
        session = (await talk.until("transcription_session.updated")).session
        check_equal(session.input_audio_transcription.model, "whisper-1", "transcription model")
        check_equal(session.input_audio_format, "pcm16", "format")
        await talk.speak(harness.utterance())
        heard = await talk.until("conversation.item.input_audio_transcription.completed")
        check_equal(heard.transcript.strip(), harness.HEARD, "what was heard")
        check_equal(talk.of("response.created"), [], "responses")


async def rate_limits():
    async with conversation({"modalities": ["text"]}) as talk:
        await talk.say("Good morning")
        limits = (await talk.until("rate_limits.updated")).rate_limits
        check(limits and all(limit.remaining < limit.limit for limit in limits), f"limits: {limits}")


harness.run(
    {
        "retrieve": retrieve,
        "transcription-failure": transcription_failure,
        "transcription-session": transcription_session,
        "rate-limits": rate_limits,
    }
)
