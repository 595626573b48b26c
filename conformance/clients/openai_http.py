"""The routes beside the WebSocket, through openai-python."""

import io
import json
import time
import wave

import openai
from openai import AsyncOpenAI

import harness
from harness import check, check_equal
from openai_talk import BETA, Talk, answer

CHAT_MODEL = "gpt-4o-mini"
CHAT_TOOL = {
    "type": "function",
    "function": {key: harness.WEATHER_TOOL[key] for key in ("name", "description", "parameters")},
}


def client(key=harness.KEY):
    return AsyncOpenAI(
        api_key=key, base_url=f"{harness.HTTP}/v1", websocket_base_url=f"{harness.WS}/v1", max_retries=0, timeout=20
    )


def wav(pcm):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(harness.RATE)
        out.writeframes(pcm)
    return file.getvalue()


def question(text):
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


async def models():
    names = [model.id async for model in client().models.list()]
    check(names, "the server names a model")
    check_equal((await client().models.retrieve(names[0])).id, names[0], "the model by its name")


async def client_secret():
    secret = await client().realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 120},
        session={"type": "realtime", "instructions": "Be brief.", "output_modalities": ["text"]},
    )
    check(secret.value.startswith("ek_"), "the secret is an ephemeral key")
    check(60 <= secret.expires_at - time.time() <= 121, f"it expires at {secret.expires_at}")
    check_equal(secret.session.type, "realtime", "type of the session bound to it")
    check_equal(secret.session.instructions, "Be brief.", "its instructions")
    check(secret.session.id.startswith("sess_"), "its id")
    async with client(secret.value).realtime.connect(model=harness.MODEL) as connection:
        talk = Talk(connection)
        session = (await talk.until("session.created")).session
        check_equal(session.instructions, "Be brief.", "instructions of the session it opened")
        check_equal(session.output_modalities, ["text"], "modalities")
        await talk.say("Good morning")
        check_equal(answer((await talk.until("response.done")).response), harness.GREETING, "answer")
    if harness.KEYS_ARE_CHECKED:
        await refused(client(secret.value).realtime.client_secrets.create(), openai.APIStatusError, "another secret")


async def refused(request, expected, what):
    try:
        await request
    except expected as error:
        check(400 <= error.status_code < 500, f"{what}: status {error.status_code}")
        check(error.body and error.body["message"] and error.body["type"], f"{what}: body {error.body}")
    else:
        raise AssertionError(f"{what}: the request was answered")


async def legacy_session():
    session = await client().beta.realtime.sessions.create(
        model="gpt-4o-realtime-preview", modalities=["text"], instructions="Be brief."
    )
    check(session.client_secret.value.startswith("ek_"), "the secret is an ephemeral key")
    check(session.client_secret.expires_at > time.time(), "it has not expired")
    check_equal(session.modalities, ["text"], "modalities")
    # Which dialect the session speaks is the secret's matter: the request says nothing of it.
    async with client(session.client_secret.value).realtime.connect(model=harness.MODEL) as connection:
        talk = Talk(connection, BETA)
        created = (await talk.until("session.created")).session
        check_equal(created.modalities, ["text"], "modalities of the session it opened")
        await talk.say("Good morning")
        await talk.until("response.done")
        check_equal(talk.text("response.text"), harness.GREETING, "answer")
    hearing = await client().beta.realtime.transcription_sessions.create(
        input_audio_format="pcm16", input_audio_transcription={"model": "whisper-1"}
    )
    check(hearing.client_secret.value.startswith("ek_"), "the transcription session's secret")
    check_equal(hearing.input_audio_transcription.model, "whisper-1", "its model")


async def transcription():
    file = ("speech.wav", wav(harness.speech(2_000)))
    heard = await client().audio.transcriptions.create(file=file, model="whisper-1")
    check_equal(heard.text.strip(), harness.HEARD, "what was heard")
    heard = await client().audio.transcriptions.create(file=file, model="whisper-1", response_format="text")
    check_equal(heard.strip(), harness.HEARD, "the same as text")
    heard = await client().audio.transcriptions.create(file=file, model="whisper-1", response_format="verbose_json")
    check_equal(heard.text.strip(), harness.HEARD, "the same in detail")
    check(1.9 <= float(heard.duration) <= 2.1, f"duration: {heard.duration}")


async def transcription_stream():
    stream = await client().audio.transcriptions.create(
        file=("speech.wav", wav(harness.speech(2_000))), model="gpt-4o-mini-transcribe", stream=True
    )
    events = [event async for event in stream]
    deltas = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    check_equal(deltas.strip(), harness.HEARD, "deltas")
    check_equal(events[-1].type, "transcript.text.done", "the last event")
    check_equal(events[-1].text.strip(), harness.HEARD, "the whole text")


async def speech():
    async with client().audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=harness.GREETING, response_format="pcm"
    ) as response:
        pcm = b"".join([chunk async for chunk in response.iter_bytes()])
    spoken_ms = harness.audible_ms(pcm)
    check(spoken_ms > 500, "the text can be heard")
    whole = await client().audio.speech.create(
        model="tts-1", voice="alloy", input=harness.GREETING, response_format="wav"
    )
    check(whole.content.startswith(b"RIFF"), "the other answer is WAV")
    data = whole.content.index(b"data") + 8
    check_equal(whole.content[data:], pcm, "samples of the WAV")
    faster = await client().audio.speech.create(
        model="tts-1", voice="alloy", input=harness.GREETING, response_format="pcm", speed=1.5
    )
    check(harness.audible_ms(faster.content) < spoken_ms * 0.8, "speed makes it shorter")


async def chat():
    done = await client().chat.completions.create(model=CHAT_MODEL, messages=question("Good morning"))
    check_equal(done.choices[0].message.content, harness.GREETING, "answer")
    check_equal(done.choices[0].finish_reason, "stop", "finish reason")
    usage = done.usage
    check_equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "tokens")
    check(usage.completion_tokens > 0, "tokens are counted")
    cut = await client().chat.completions.create(
        model=CHAT_MODEL, messages=question("Good morning"), max_completion_tokens=2
    )
    check_equal((cut.choices[0].message.content, cut.choices[0].finish_reason), ("Good morning.", "length"), "limit")


async def chat_stream():
    stream = await client().chat.completions.create(
        model=CHAT_MODEL,
        messages=question("Good morning"),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    check_equal("".join(choice.delta.content or "" for choice in choices), harness.GREETING, "deltas")
    check_equal(choices[-1].finish_reason, "stop", "finish reason")
    check(chunks[-1].usage and chunks[-1].usage.completion_tokens > 0, "the last chunk has the usage")


async def chat_tool():
    messages = question("What is the weather like?")
    done = await client().chat.completions.create(model=CHAT_MODEL, messages=messages, tools=[CHAT_TOOL])
    check_equal(done.choices[0].finish_reason, "tool_calls", "finish reason")
    call = done.choices[0].message.tool_calls[0]
    called = (call.function.name, json.loads(call.function.arguments))
    check_equal(called, ("get_weather", {"city": "Paris"}), "call")
    stream = await client().chat.completions.create(
        model=CHAT_MODEL, messages=messages, tools=[CHAT_TOOL], stream=True
    )
    deltas = [
        piece
        async for chunk in stream
        if chunk.choices
        for piece in chunk.choices[0].delta.tool_calls or []
    ]
    arguments = "".join(piece.function.arguments or "" for piece in deltas)
    check_equal(
        (deltas[0].function.name, json.loads(arguments)), ("get_weather", {"city": "Paris"}), "call in pieces"
    )
    messages += [done.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    done = await client().chat.completions.create(model=CHAT_MODEL, messages=messages, tools=[CHAT_TOOL])
    check_equal(done.choices[0].message.content, harness.WEATHER, "answer")


async def refusals():
    bad, ours = openai.BadRequestError, client()
    await refused(ours.models.retrieve("no-such-model"), openai.NotFoundError, "unknown model")
    await refused(ours.chat.completions.create(model=CHAT_MODEL, messages=[]), bad, "no messages")
    opus = ours.audio.speech.create(model="tts-1", voice="alloy", input="Hello", response_format="opus")
    await refused(opus, bad, "speech as Opus")
    noise = ours.audio.transcriptions.create(file=("speech.wav", b"no sound"), model="whisper-1")
    await refused(noise, bad, "a file without sound")
    short = {"anchor": "created_at", "seconds": 1}
    await refused(ours.realtime.client_secrets.create(expires_after=short), bad, "a secret of one second")
    if harness.KEYS_ARE_CHECKED:
        stranger = client("sk-stranger")
        await refused(stranger.realtime.client_secrets.create(), openai.AuthenticationError, "a wrong key")


harness.run(
    {
        "models": models,
        "client-secret": client_secret,
        "legacy-session": legacy_session,
        "transcription": transcription,
        "transcription-stream": transcription_stream,
        "speech": speech,
        "chat": chat,
        "chat-stream": chat_stream,
        "chat-tool": chat_tool,
        "refusals": refusals,
    }
)
