"""LiveKit Agents: an AgentSession on the OpenAI plugin's RealtimeModel, with a microphone and a
loudspeaker of ours in place of a room."""

import asyncio
import time
from contextlib import asynccontextmanager

from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool, io
from livekit.plugins import openai

import harness
from harness import check, check_equal


class Microphone(io.AudioInput):
    def __init__(self):
        super().__init__(label="conformance")
        self._frames = asyncio.Queue()

    async def __anext__(self):
        return await self._frames.get()

    async def speak(self, pcm):
        async def push(chunk):
            samples = len(chunk) // 2
            frame = rtc.AudioFrame(chunk, harness.RATE, num_channels=1, samples_per_channel=samples)
            await self._frames.put(frame)

        await harness.stream(push, pcm)


class Loudspeaker(io.AudioOutput):
    """Keeps what it is given and plays it in real time."""

    def __init__(self, watch):
        capabilities = io.AudioOutputCapabilities(pause=False)
        super().__init__(label="conformance", capabilities=capabilities, sample_rate=harness.RATE)
        self.pcm = b""
        self.interruptions = []
        self._watch = watch
        self._started = None
        self._seconds = 0.0
        self._end = None

    async def capture_frame(self, frame):
        await super().capture_frame(frame)
        if self._started is None:
            self._started = time.time()
            self.on_playback_started(created_at=self._started)
        self._seconds += frame.duration
        self.pcm += bytes(frame.data)
        self._watch.changed()

    def flush(self):
        super().flush()
        if self._started is not None and self._end is None:
            left = self._started + self._seconds - time.time()
            self._end = asyncio.get_running_loop().call_later(max(left, 0), self._finish, False)

    def clear_buffer(self):
        if self._started is not None:
            self._finish(True)

    def _finish(self, interrupted):
        if self._end is not None:
            self._end.cancel()
        position = min(time.time() - self._started, self._seconds)
        self._started, self._seconds, self._end = None, 0.0, None
        if interrupted:
            self.interruptions.append(position)
        self.on_playback_finished(playback_position=position, interrupted=interrupted)
        self._watch.changed()


class Talk:
    """A session, its devices, and what it reported."""

    def __init__(self, session):
        self.session = session
        self.watch = harness.Watch()
        self.microphone = Microphone()
        self.loudspeaker = Loudspeaker(self.watch)
        self.heard = []
        self.executed = []
        self.errors = []
        self.server = []
        session.on("conversation_item_added", lambda _: self.watch.changed())
        session.on("user_input_transcribed", self._transcribed)
        session.on("function_tools_executed", self._keep(self.executed))
        session.on("error", self._keep(self.errors))

    def _keep(self, into):
        def keep(event):
            into.append(event)
            self.watch.changed()

        return keep

    def _transcribed(self, event):
        if event.is_final:
            self.heard.append(event.transcript.strip())
        self.watch.changed()

    def watch_server(self, realtime_session):
        realtime_session.on("openai_server_event_received", self._keep(self.server))

    def of(self, kind):
        return [event for event in self.server if event["type"] == kind]

    def texts(self, role):
        items = [item for item in self.session.history.items if item.type == "message"]
        return [item.text_content for item in items if item.role == role]

    async def until(self, condition, what):
        def or_error():
            check(not self.errors, f"the session reports an error: {self.errors and self.errors[0].error}")
            return condition()

        await self.watch.until(or_error, what)

    async def until_said(self, role, text):
        await self.until(lambda: text in self.texts(role), f"{text!r} of the {role} in the history")


@asynccontextmanager
async def conversation(tools=(), is_spoken=True, **settings):
    model = openai.realtime.RealtimeModel(
        base_url=f"{harness.HTTP}/v1", api_key=harness.KEY, model=harness.MODEL, **settings
    )
    session = AgentSession(llm=model, aec_warmup_duration=None)
    talk = Talk(session)
    session.input.audio = talk.microphone
    if is_spoken:
        session.output.audio = talk.loudspeaker
    agent = Agent(instructions="Be brief.", tools=list(tools))
    await session.start(agent)
    talk.watch_server(agent.realtime_llm_session)
    try:
        yield talk
    finally:
        await session.aclose()
        await model.aclose()


async def connects():
    async with conversation() as talk:
        await talk.until(lambda: talk.of("session.updated"), "session.updated")
        sessions = [event["session"] for event in talk.of("session.updated")]
        check_equal(sessions[-1]["type"], "realtime", "session type")
        await talk.until(
            lambda: talk.of("session.updated")[-1]["session"]["instructions"] == "Be brief.", "the instructions"
        )


async def text_turn():
    async with conversation(is_spoken=False, modalities=["text"]) as talk:
        speech = talk.session.generate_reply(user_input="Good morning")
        await speech
        await talk.until_said("assistant", harness.GREETING)
        check_equal(talk.texts("user"), ["Good morning"], "the user's messages")


async def audio_turn():
    async with conversation() as talk:
        await talk.microphone.speak(harness.utterance())
        await talk.until_said("assistant", harness.GREETING)
        await talk.until(lambda: talk.heard, "what was heard")
        check_equal(talk.heard, [harness.HEARD], "what was heard")
        await talk.until_said("user", harness.HEARD)
        check(harness.audible_ms(talk.loudspeaker.pcm) > 500, "the answer can be heard")


async def tool_call():
    asked = []

    @function_tool
    async def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "sunny"

    async with conversation(tools=[get_weather]) as talk:
        talk.session.generate_reply(user_input="What is the weather like?")
        await talk.until_said("assistant", harness.WEATHER)
        check_equal(asked, ["Paris"], "calls of the function")
        outputs = [output.output for event in talk.executed for output in event.function_call_outputs]
        check_equal(outputs, ["sunny"], "its outputs")


async def barge_in():
    async with conversation() as talk:
        speech = talk.session.generate_reply(user_input="Tell me a story")
        await talk.until(lambda: talk.loudspeaker.pcm, "the story's first audio")
        await talk.microphone.speak(harness.cutting_in())
        await talk.until(lambda: talk.loudspeaker.interruptions, "the interruption of the loudspeaker")
        await talk.until(lambda: talk.of("conversation.item.truncated"), "the item's truncation")
        await talk.microphone.speak(harness.falling_silent())
        await talk.until_said("assistant", harness.STOPPED)
        check(speech.interrupted, "the story counts as interrupted")
        stories = [item for item in talk.session.history.items if item.type == "message" and item.role == "assistant"]
        check(stories[0].interrupted, "so it does in the history")
        check(harness.STORY_ENDS not in stories[0].text_content, "the story was cut short")
        statuses = [event["response"]["status"] for event in talk.of("response.done")]
        check_equal(statuses[:1], ["cancelled"], "how the story's response ended")


harness.run(
    {
        "connect": connects,
        "text": text_turn,
        "audio": audio_turn,
        "tool": tool_call,
        "barge-in": barge_in,
    }
)
