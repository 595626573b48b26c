"""openai-agents (Python) with a function, against the language model that runs in the server."""

import harness
from agents import function_tool
from agents_python import conversation
from harness import check, check_equal


async def tool_call():
    asked = []

    @function_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "sunny"

    async with conversation(tools=[get_weather], output_modalities=["text"]) as talk:
        await talk.session.send_message("Look up the weather in Paris, please.")
        await talk.until_turns_ended(2)
        check(asked and all("paris" in city.lower() for city in asked), f"calls of the function: {asked}")
        check_equal({str(event.output) for event in talk.of("tool_end")}, {"sunny"}, "its outputs")
        await talk.until(
            lambda: any("sunny" in text.lower() for text in talk.texts("assistant")),
            "an answer that knows the weather",
        )
        failed = [done for done in talk.server("response.done") if done["response"]["status"] != "completed"]
        check(not failed, f"a response did not complete: {failed}")


harness.run({"tool": tool_call})
