"""Which clients take part, and in which scenarios."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Group:
    """Clients whose results make one table of the page."""

    title: str
    lead: str
    scenarios: dict[str, str]
    """Name in the drivers' reports to the words at its place in the table."""
    clients_are_rows: bool = True


@dataclass(frozen=True)
class Client:
    """A driver: how it starts, and what it is expected to report."""

    name: str
    title: str
    version: str
    environment: str
    """A lock in `locks/`, or `node`."""
    command: tuple[str, ...]
    """Arguments for the environment's interpreter, below `clients/`."""
    group: Group
    serve: tuple[str, ...] = field(default=())
    """Arguments of `kaiwa serve` that its scenarios need."""
    uses_tools: bool = False
    """Whether its scenarios need an MCP server that `kaiwa serve` may contact."""
    elsewhere: tuple[str, ...] = field(default=())
    """Roles (`llm`, `stt`, `tts`) that a second server plays over HTTP."""


TURNS = Group(
    "Realtime clients",
    "Each cell is a conversation held through the client's own interface: it connects unmodified; "
    "a typed turn is answered in text; a spoken turn is heard, ended by the server's turn "
    "detection and answered aloud; a function is called and its output answered; speech during a "
    "long answer ends it. The last column says that everything the server sent is valid against "
    "the schemas.",
    {
        "connect": "connects",
        "text": "typed turn",
        "audio": "spoken turn",
        "tool": "function",
        "barge-in": "interruption",
        "events": "events valid",
    },
)

PROTOCOL = Group(
    "The rest of the protocol",
    "What the conversations above do not reach, driven through openai-python's connection.",
    {
        "bookkeeping": "items are created in their places, retrieved with audio, truncated, deleted",
        "images": "an image is kept as content",
        "push-to-talk": "without turn detection: clear, commit, response.create",
        "client-turns": "`create_response` and `interrupt_response` off, `response.cancel`",
        "out-of-band": "responses beside the conversation, two at once with a default one",
        "formats": "G.711 in and out",
        "idle-timeout": "silence is noticed",
        "transcription-details": "transcripts with log probabilities; segments with a speaker",
        "transcription-failure": "a turn that cannot be transcribed",
        "transcription-session": "`intent=transcription`",
        "token-limit": "a response that reaches `max_output_tokens` is incomplete",
        "rate-limits": "`rate_limits.updated` after a response",
        "errors": "client mistakes are answered with the documented codes and end nothing",
        "events": "everything the server sent is valid against the schemas",
    },
    clients_are_rows=False,
)

PROTOCOL_BETA = Group(
    "The rest of the beta",
    "The same in the beta dialect, where it differs.",
    {
        "retrieve": "an item is retrieved with its audio",
        "transcription-failure": "a turn that cannot be transcribed",
        "transcription-session": "`intent=transcription`, `transcription_session.update`",
        "rate-limits": "`rate_limits.updated` after a response",
        "events": "everything the server sent is valid against the beta's schemas",
    },
    clients_are_rows=False,
)

ENGINES = Group(
    "Engines elsewhere",
    "The same conversations where the engines of some roles are those of a second server behind "
    "OpenAI's HTTP routes. In the last one the language model breaks off in the middle of a sentence: "
    "what was said stays, the response fails with a reason, and the next turn is answered.",
    {
        "text": "typed turn",
        "audio": "spoken turn",
        "tool": "function",
        "barge-in": "interruption",
        "failure": "breaks off",
        "events": "events valid",
    },
)

TOOLS = Group(
    "Tools of MCP servers",
    "Beside the server runs an MCP server made with the official Python SDK, with a tool that may be "
    "used freely, one that needs approval and one that fails.",
    {
        "list": "its tools are listed",
        "call": "a tool is called and its output answered",
        "approve": "a call is approved",
        "deny": "a call is denied",
        "tool-failure": "a tool that fails",
        "list-failure": "a server that is not allowed",
        "events": "everything the server sent is valid against the schemas",
    },
    clients_are_rows=False,
)

HTTP = Group(
    "HTTP",
    "openai-python against the routes beside the WebSocket.",
    {
        "models": "`GET /v1/models`",
        "client-secret": "`POST /v1/realtime/client_secrets`; the key opens one session with its configuration",
        "legacy-session": "`POST /v1/realtime/sessions` and `/transcription_sessions`",
        "transcription": "`POST /v1/audio/transcriptions`",
        "transcription-stream": "the same, streamed",
        "speech": "`POST /v1/audio/speech`, PCM and WAV",
        "chat": "`POST /v1/chat/completions`",
        "chat-stream": "the same, streamed",
        "chat-tool": "the same with a function and its output",
        "refusals": "errors in OpenAI's shape, as the client's exceptions",
    },
    clients_are_rows=False,
)

CHECKLIST = Group(
    "The sample client of October 2024",
    "A WebSocket driven by hand in the beta dialect, line by line of the checklist.",
    {
        "01-handshake": "any model and key, no subprotocol offered, none selected",
        "02-session-created": "`session.created` first, the session flat",
        "03-session-update": "`session.update` without `session.type`; an unknown voice is an error and no more",
        "04-append": "audio in chunks of any size, not acknowledged",
        "05-speech-started": "`speech_started` and the response it cancels",
        "06-turn-order": "`speech_stopped`, `committed`, `conversation.item.created`, `response.created`",
        "07-audio-delta": "`response.audio.delta`, PCM at 24 kHz",
        "08-transcript": "`response.audio_transcript.delta` and `.done`",
        "09-transcription": "input transcription when configured, and only then",
        "10-error": "nested `error`, the session continues",
        "11-optional-events": "create, commit, truncate, cancel",
        "12-response-done": "`response.done` in the beta's shape",
        "13-text": "`response.text.delta` and `.done`",
        "14-no-extras": "no event and no field that the beta did not have",
        "15-frames": "text frames, one object each, `type` in every one",
        "16-close": "close code 1000 at shutdown",
        "events": "everything the server sent is valid against the beta's schemas",
    },
    clients_are_rows=False,
)

GROUPS = (TURNS, PROTOCOL, PROTOCOL_BETA, ENGINES, TOOLS, HTTP, CHECKLIST)

NATIVE = "--experimental-websocket"
"""Gives Node 20 the global WebSocket that newer ones have."""

KEYS = ("--keys-env", "KAIWA_CONFORMANCE_KEYS")
"""Lets in the drivers' key and no other."""

LIMITS = ("--rate-limit", "requests=1000/60", "--rate-limit", "tokens=100000/60")
"""Limits that nobody reaches, so that they are reported."""

def engines(title: str, *elsewhere: str) -> Client:
    """openai-python against a server whose engines of these roles are elsewhere."""
    return Client(
        "-".join(("engines", *(elsewhere or ("local",)))),
        f"openai-python; {title}",
        "3.54.0",
        "openai",
        ("openai_python.py", "ga", "text", "audio", "tool", "barge-in", "failure"),
        ENGINES,
        elsewhere=elsewhere,
    )


CLIENTS = (
    Client("openai-python", "openai-python", "3.54.0", "openai", ("openai_python.py", "ga"), TURNS),
    Client("openai-node-ws", "openai-node, `ws`", "7.57.0", "node", ("openai_node.mjs", "ws", "ga"), TURNS),
    Client(
        "openai-node-native",
        "openai-node, native WebSocket",
        "7.57.0",
        "node",
        (NATIVE, "openai_node.mjs", "native", "ga"),
        TURNS,
    ),
    Client("agents-js", "@openai/agents-realtime", "0.20.0", "node", ("agents_js.mjs",), TURNS),
    Client("agents-python", "openai-agents (Python)", "0.24.0", "openai", ("agents_python.py",), TURNS),
    Client("livekit", "livekit-plugins-openai", "1.8.9", "livekit", ("livekit_agents.py",), TURNS),
    Client("pipecat", "pipecat-ai", "1.14.0", "pipecat", ("pipecat_service.py",), TURNS),
    Client(
        "openai-python-beta",
        "openai-python, beta",
        "3.54.0",
        "openai",
        ("openai_python.py", "beta"),
        TURNS,
    ),
    Client(
        "openai-node-ws-beta",
        "openai-node, `ws`, beta",
        "7.57.0",
        "node",
        ("openai_node.mjs", "ws", "beta"),
        TURNS,
    ),
    Client(
        "openai-node-native-beta",
        "openai-node, native WebSocket, beta",
        "7.57.0",
        "node",
        (NATIVE, "openai_node.mjs", "native", "beta"),
        TURNS,
    ),
    Client(
        "beta-reference",
        "openai-realtime-api, beta",
        "1.0.8",
        "node",
        (NATIVE, "beta_reference.mjs"),
        TURNS,
    ),
    Client("protocol", "openai-python", "3.54.0", "openai", ("protocol_rest.py",), PROTOCOL, serve=LIMITS),
    Client(
        "protocol-beta",
        "openai-python, beta",
        "3.54.0",
        "openai",
        ("protocol_beta.py",),
        PROTOCOL_BETA,
        serve=LIMITS,
    ),
    engines("all in the process"),
    engines("language model elsewhere", "llm"),
    engines("speech to text elsewhere", "stt"),
    engines("text to speech elsewhere", "tts"),
    engines("all elsewhere", "llm", "stt", "tts"),
    Client(
        "mcp-openai-python",
        "openai-python",
        "3.54.0",
        "openai",
        ("openai_mcp.py",),
        TOOLS,
        uses_tools=True,
    ),
    Client(
        "mcp-agents-js",
        "@openai/agents-realtime",
        "0.20.0",
        "node",
        ("agents_js_mcp.mjs",),
        TOOLS,
        uses_tools=True,
    ),
    Client("http", "openai-python", "3.54.0", "openai", ("openai_http.py",), HTTP, serve=KEYS),
    Client("sample-cli", "sample client", "", "openai", ("sample_cli.py",), CHECKLIST),
)
