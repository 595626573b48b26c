"""openai-agents (Python): a RealtimeSession run by its RealtimeRunner."""

import asyncio
import os
from contextlib import asynccontextmanager

# Otherwise the SDK exports its own traces to a fixed host.
os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner

import harness
from harness import check, check_equal


class Talk:
    """A session, the events it gave, and the history as it last reported it."""

    def __init__(self, session):
        self.session = session
        self.events = []
        self.history = []
        self.watch = harness.Watch()

    async def read(self):
        async for event in self.session:
            self.events.append(event)
            if event.type == "history_updated":
                self.history = event.history
            elif event.type == "history_added":
                known = {item.item_id for item in self.history}
                if event.item.item_id not in known:
                    self.history = [*self.history, event.item]
            self.watch.changed()

    def of(self, kind):
        return [event for event in self.events if event.type == kind]

    def raw(self, kind):
        """Events of the model, as the session passes them on."""
        return [event.data for event in self.of("raw_model_event") if event.data.type == kind]

    def server(self, kind):
        return [event.data for event in self.raw("raw_server_event") if event.data["type"] == kind]

    async def until(self, condition, what):
        def or_error():
            errors = self.of("error")
            check(not errors, f"the session reports an error: {errors and errors[0].error}")
            return condition()

        await self.watch.until(or_error, what)

    async def until_turns_ended(self, count):
        await self.until(lambda: len(self.raw("turn_ended")) >= count, f"the end of turn {count}")

    def texts(self, role):
        """What the messages of that role say, in the history's order."""
        messages = [item for item in self.history if item.type == "message" and item.role == role]
        return [
            " ".join(getattr(part, "text", None) or getattr(part, "transcript", None) or "" for part in item.content)
            for item in messages
        ]

    def audio(self):
        return b"".join(event.audio.data for event in self.of("audio"))

    async def speak(self, pcm):
        await harness.stream(self.session.send_audio, pcm)


@asynccontextmanager
async def conversation(tools=(), **settings):
    agent = RealtimeAgent(name="kaiwa", instructions="Be brief.", tools=list(tools))
    config = {"model_settings": settings} if settings else None
    runner = RealtimeRunner(agent, config=config)
    session = await runner.run(model_config={"url": harness.realtime_url(), "api_key": harness.KEY})
    async with session:
        talk = Talk(session)
        reader = asyncio.create_task(talk.read())
        try:
            yield talk
        finally:
            reader.cancel()


async def connects():
    async with conversation() as talk:
        await talk.until(lambda: len(talk.server("session.updated")) >= 2, "both session.updated")
        first = talk.server("session.created") + talk.server("session.updated")
        check_equal(first[-1]["session"]["instructions"], "Be brief.", "instructions")
        check_equal(first[-1]["session"]["tracing"], "auto", "tracing")


async def text_turn():
    async with conversation(output_modalities=["text"]) as talk:
        await talk.session.send_message("Good morning")
        await talk.until_turns_ended(1)
        await talk.until(lambda: harness.GREETING in talk.texts("assistant"), "the answer in the history")
        check_equal(talk.texts("user"), ["Good morning"], "the user's messages")


async def audio_turn():
    async with conversation() as talk:
        await talk.speak(harness.utterance())
        await talk.until_turns_ended(1)
        await talk.until(lambda: talk.texts("user") == [harness.HEARD], "what was heard in the history")
        await talk.until(lambda: harness.GREETING in talk.texts("assistant"), "the answer in the history")
        check(harness.audible_ms(talk.audio()) > 500, "the answer can be heard")
        check_equal(len(talk.of("audio_end")), 1, "ends of audio")


async def tool_call():
    asked = []

    @function_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "sunny"

    async with conversation(tools=[get_weather]) as talk:
        await talk.session.send_message("What is the weather like?")
        await talk.until_turns_ended(2)
        check_equal(asked, ["Paris"], "calls of the function")
        check_equal([str(event.output) for event in talk.of("tool_end")], ["sunny"], "its outputs")
        await talk.until(lambda: harness.WEATHER in talk.texts("assistant"), "the answer in the history")


async def barge_in():
    async with conversation() as talk:
        await talk.session.send_message("Tell me a story")
        await talk.until(lambda: talk.of("audio"), "the story's first audio")
        await talk.speak(harness.cutting_in())
        await talk.until(lambda: talk.of("audio_interrupted"), "audio_interrupted")
        await talk.until(lambda: talk.server("conversation.item.truncated"), "the item's truncation")
        await talk.speak(harness.falling_silent())
        await talk.until_turns_ended(2)
        told = talk.of("audio")[0].item_id
        check_equal(talk.of("audio_interrupted")[0].item_id, told, "the item interrupted")
        check_equal(talk.server("conversation.item.truncated")[0]["item_id"], told, "the item truncated")
        await talk.until(lambda: harness.STOPPED in talk.texts("assistant"), "the answer to the interruption")
        statuses = [event["response"]["status"] for event in talk.server("response.done")]
        check_equal(statuses, ["cancelled", "completed"], "how the responses ended")


harness.run(
    {
        "connect": connects,
        "text": text_turn,
        "audio": audio_turn,
        "tool": tool_call,
        "barge-in": barge_in,
    }
)
