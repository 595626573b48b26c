"""A Realtime connection of openai-python, for the drivers that use one."""

import base64

import harness

GA = {
    "text": "response.output_text",
    "audio": "response.output_audio",
    "transcript": "response.output_audio_transcript",
    "item": "conversation.item.added",
}
BETA = {
    "text": "response.text",
    "audio": "response.audio",
    "transcript": "response.audio_transcript",
    "item": "conversation.item.created",
}


class Talk:
    """A connection and everything it reported."""

    def __init__(self, connection, names=GA):
        self.connection = connection
        self.names = names
        self.events = []

    async def until(self, name, count=1):
        """The event of that type that is number `count` of this connection, read already or not.

        An error may only come if it is waited for.
        """
        while len(self.of(name)) < count:
            event = await self.connection.recv()
            self.events.append(event)
            if event.type == "error" and name != "error":
                raise AssertionError(f"the server answered with an error: {event.error}")
        return self.of(name)[count - 1]

    def of(self, name):
        return [event for event in self.events if event.type == name]

    def text(self, prefix):
        return "".join(event.delta for event in self.of(f"{prefix}.delta"))

    def audio(self):
        return b"".join(base64.b64decode(event.delta) for event in self.of(f"{self.names['audio']}.delta"))

    async def begin(self, session):
        await self.until("session.created")
        await self.connection.session.update(session=session)
        return (await self.until("session.updated")).session

    async def say(self, text):
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.connection.conversation.item.create(item=item)
        await self.connection.response.create()

    async def speak(self, pcm):
        async def append(chunk):
            await self.connection.input_audio_buffer.append(audio=harness.base64_text(chunk))

        await harness.stream(append, pcm)


def answer(response):
    """The words of a finished response."""
    parts = [part for item in response.output for part in getattr(item, "content", None) or []]
    return " ".join(part.text or part.transcript or "" for part in parts)
