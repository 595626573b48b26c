"""Pipecat: a pipeline around its OpenAIRealtimeLLMService, with ends of ours in place of a
transport."""

import asyncio
import sys
from contextlib import asynccontextmanager

from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    ErrorFrame,
    FunctionCallResultFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

import harness
from harness import check, check_equal

logger.remove()
logger.add(sys.stderr, level="WARNING")


class Frames:
    """Frames that passed, in their order."""

    def __init__(self):
        self.all = []
        self.watch = harness.Watch()

    def keep(self, frame):
        self.all.append(frame)
        self.watch.changed()

    def of(self, kind):
        return [frame for frame in self.all if type(frame) is kind]


class Near(FrameProcessor):
    """Where a transport's input would be: keeps what comes up to the user's side."""

    def __init__(self, frames):
        super().__init__()
        self._frames = frames

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if direction == FrameDirection.UPSTREAM and isinstance(frame, ErrorFrame):
            self._frames.keep(frame)
        await self.push_frame(frame, direction)


class Far(FrameProcessor):
    """Where a transport's output would be: keeps what the bot says, and says when it speaks."""

    def __init__(self, frames):
        super().__init__()
        self._frames = frames

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if direction == FrameDirection.DOWNSTREAM:
            self._frames.keep(frame)
            if isinstance(frame, TTSStartedFrame):
                await self.broadcast_frame(BotStartedSpeakingFrame)
            elif isinstance(frame, TTSStoppedFrame):
                await self.broadcast_frame(BotStoppedSpeakingFrame)
        await self.push_frame(frame, direction)


class Ears(FrameProcessor):
    """Between the user's aggregator and the service: keeps the transcripts on their way up."""

    def __init__(self, frames):
        super().__init__()
        self._frames = frames

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self._frames.keep(frame)
        await self.push_frame(frame, direction)


class Talk:
    def __init__(self, worker, frames, context):
        self.worker = worker
        self.frames = frames
        self.context = context
        self.items = []

    async def until(self, condition, what):
        def or_error():
            errors = self.frames.of(ErrorFrame)
            check(not errors, f"the pipeline reports an error: {errors and errors[0].error}")
            return condition()

        await self.frames.watch.until(or_error, what)

    async def until_ended(self, count):
        await self.until(
            lambda: len(self.frames.of(LLMFullResponseEndFrame)) >= count, f"the end of response {count}"
        )

    def text(self, kind):
        return "".join(frame.text for frame in self.frames.of(kind))

    def audio(self):
        return b"".join(frame.audio for frame in self.frames.of(TTSAudioRawFrame))

    def said(self, role):
        return [message["content"] for message in self.context.get_messages() if message.get("role") == role]

    def statuses(self, role):
        """Status by item of that role, as the service last reported it."""
        known = {item.id: item.status for item in self.items if item and item.role == role}
        return list(known.values())

    async def speak(self, pcm):
        async def push(chunk):
            frame = InputAudioRawFrame(audio=chunk, sample_rate=harness.RATE, num_channels=1)
            await self.worker.queue_frame(frame)

        await harness.stream(push, pcm)

    async def run_model(self):
        await self.worker.queue_frame(LLMRunFrame())


@asynccontextmanager
async def conversation(messages=(), tools=None, functions=(), modality="audio"):
    hearing = events.AudioInput(
        transcription=events.InputAudioTranscription(model="gpt-4o-mini-transcribe"),
        turn_detection=events.TurnDetection(silence_duration_ms=400),
    )
    properties = events.SessionProperties(
        output_modalities=[modality], audio=events.AudioConfiguration(input=hearing)
    )
    service = OpenAIRealtimeLLMService(
        api_key=harness.KEY,
        base_url=f"{harness.WS}/v1/realtime",
        settings=OpenAIRealtimeLLMService.Settings(
            model=harness.MODEL, system_instruction="Be brief.", session_properties=properties
        ),
    )
    for name, handler in functions:
        service.register_function(name, handler)
    context = LLMContext(list(messages), **({"tools": tools} if tools else {}))
    pair = LLMContextAggregatorPair(context)
    frames = Frames()
    pipeline = Pipeline([Near(frames), pair.user(), Ears(frames), service, Far(frames), pair.assistant()])
    worker = PipelineWorker(
        pipeline,
        cancel_on_idle_timeout=False,
        enable_rtvi=False,
        params=PipelineParams(audio_in_sample_rate=harness.RATE, audio_out_sample_rate=harness.RATE),
    )
    started = asyncio.Event()
    talk = Talk(worker, frames, context)

    @worker.event_handler("on_pipeline_started")
    async def on_started(worker, frame):
        started.set()

    @service.event_handler("on_conversation_item_updated")
    async def on_item(service, item_id, item):
        talk.items.append(item)
        frames.watch.changed()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(started.wait(), 10)
        yield talk
    finally:
        await worker.queue_frame(EndFrame())
        await asyncio.wait_for(running, 10)


def user(text):
    return {"role": "user", "content": text}


async def connects():
    # The service asks for a response only once session.updated has arrived.
    async with conversation([user("Good morning")]) as talk:
        await talk.run_model()
        await talk.until_ended(1)
        check_equal(talk.text(TTSTextFrame), harness.GREETING, "answer")


async def text_turn():
    async with conversation([user("Good morning")], modality="text") as talk:
        await talk.run_model()
        await talk.until_ended(1)
        check_equal(talk.text(LLMTextFrame), harness.GREETING, "answer")
        await talk.until(lambda: harness.GREETING in talk.said("assistant"), "the answer in the context")
        check_equal(talk.statuses("assistant"), ["completed"], "status")


async def audio_turn():
    # The service takes its context from the first run of the model, so the bot speaks first.
    async with conversation([user("Hello")]) as talk:
        await talk.run_model()
        await talk.until_ended(1)
        greeting = talk.text(TTSTextFrame)
        await talk.speak(harness.utterance())
        await talk.until_ended(2)
        heard = talk.frames.of(TranscriptionFrame)
        check_equal([frame.text.strip() for frame in heard], [harness.HEARD], "what was heard")
        check_equal(len(talk.frames.of(UserStoppedSpeakingFrame)), 1, "ends of the user's turn")
        check_equal(talk.text(TTSTextFrame), greeting + harness.GREETING, "answers")
        check_equal(talk.statuses("assistant"), ["completed", "completed"], "statuses of the answers")
        check(harness.audible_ms(talk.audio()) > 500, "the answer can be heard")


async def tool_call():
    asked = []

    async def get_weather(parameters):
        asked.append(parameters.arguments)
        await parameters.result_callback({"sky": "sunny"})

    weather = FunctionSchema(
        name="get_weather",
        description="The weather in a city.",
        properties={"city": {"type": "string"}},
        required=["city"],
    )
    tools = ToolsSchema(standard_tools=[weather])
    question = [user("What is the weather like?")]
    async with conversation(question, tools, [("get_weather", get_weather)]) as talk:
        await talk.run_model()
        await talk.until_ended(2)
        check_equal(asked, [{"city": "Paris"}], "calls of the function")
        check_equal([frame.result for frame in talk.frames.of(FunctionCallResultFrame)], [{"sky": "sunny"}], "results")
        check_equal(talk.text(TTSTextFrame), harness.WEATHER, "answer")


async def barge_in():
    async with conversation([user("Tell me a story")]) as talk:
        await talk.run_model()
        await talk.until(lambda: talk.frames.of(TTSAudioRawFrame), "the story's first audio")
        await talk.speak(harness.interruption())
        await talk.until(lambda: talk.frames.of(InterruptionFrame), "the interruption")
        await talk.until(lambda: harness.STOPPED in talk.text(TTSTextFrame), "the answer to the interruption")
        await talk.until_ended(2)
        said = talk.text(TTSTextFrame)
        check(said.startswith(harness.STORY_BEGINS), f"the story began: {said!r}")
        check(harness.STORY_ENDS not in said, "the story was cut short")
        check_equal(talk.statuses("assistant"), ["incomplete", "completed"], "statuses of the answers")


harness.run(
    {
        "connect": connects,
        "text": text_turn,
        "audio": audio_turn,
        "tool": tool_call,
        "barge-in": barge_in,
    }
)
