"""The server's event logs: sorted by dialect, checked against the schemas, counted.

`kaiwa serve --log-events DIR` writes one file a session, one frame a line:
`{"kind": "client"|"server", "event": {…}}`, and `"text"` in place of `event` for what is no
JSON object. A session whose `session.created` is flat speaks the beta dialect.
"""

import json
import os
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from .say import Failure

CHECK_LIMIT = 120

WEBRTC = "WebRTC and SIP only"
RETIRED = "beta only; listed in GA's union, never sent there"

LEFT_OUT = {
    ("ga", "client"): {"output_audio_buffer.clear": WEBRTC},
    ("ga", "server"): {
        **dict.fromkeys(
            (
                "input_audio_buffer.dtmf_event_received",
                "output_audio_buffer.cleared",
                "output_audio_buffer.started",
                "output_audio_buffer.stopped",
            ),
            WEBRTC,
        ),
        **dict.fromkeys(("conversation.created", "conversation.item.created"), RETIRED),
    },
    ("beta", "client"): {"output_audio_buffer.clear": WEBRTC},
    ("beta", "server"): dict.fromkeys(
        ("output_audio_buffer.cleared", "output_audio_buffer.started", "output_audio_buffer.stopped"),
        WEBRTC,
    ),
}
"""Events of the protocol that this run cannot show, and why."""


EXCUSED = (
    # The beta's schema lists the models of its day; the checklist demands that any is taken.
    "at /session/model: 'a model nobody has' is not one of",
    # Only the answer of POST /v1/realtime/transcription_sessions has a secret to tell.
    "transcription_session.updated at /session: 'client_secret' is a required property",
    # Recordings have it where the schemas have nothing.
    "transcription_session.created: not an event of this dialect and side",
)
"""Complaints about the schemas rather than the server."""


class Protocol:
    """The schemas, and the program that checks events against them."""

    def __init__(self, folder: Path, python: Path):
        self._check = folder / "check_events.py"
        self._python = python
        if not self._check.is_file():
            raise Failure(f"{self._check} is missing: set KAIWA_PROTOCOL_DIR to the protocol's folder")
        self.names = {}
        ga = json.loads((folder / "realtime-schemas-sdk-3.54.0.json").read_text())
        beta = json.loads((folder / "historic" / "beta-2025-04-schemas.json").read_text())["x-index"]
        for side in ("client", "server"):
            self.names["ga", side] = set(union(ga[f"ga_{side}_event"]))
            self.names["beta", side] = set(beta[f"beta_{side}_events"])

    def complaints(self, log: Path, dialect: str) -> list[str]:
        """What is wrong with the server's events in a log; empty if nothing is."""
        try:
            done = subprocess.run(
                [self._python, self._check, log, "--side", "server", "--dialect", dialect],
                capture_output=True,
                text=True,
                timeout=CHECK_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [f"the check was not done after {CHECK_LIMIT} s"]
        if done.returncode == 0:
            return []
        lines = (done.stdout + done.stderr).strip().splitlines()
        complaints = lines[:-2] or lines
        return [line for line in complaints if not any(words in line for words in EXCUSED)]


def union(schema: dict) -> list[str]:
    """The `type` of each member of a union of events."""
    names = []
    for member in schema["anyOf"]:
        kind = schema["$defs"][member["$ref"].removeprefix("#/$defs/")]["properties"]["type"]
        names.append(kind.get("const") or kind["enum"][0])
    return names


@dataclass
class Seen:
    """Event types that were on the wire."""

    types: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, other: "Seen") -> None:
        for key, types in other.types.items():
            self.types[key] |= types

    def coverage(self, protocol: Protocol) -> dict:
        """Per dialect and side: what was seen, what cannot be, what is missing."""
        result = {}
        for (dialect, side), names in sorted(protocol.names.items()):
            seen = self.types[dialect, side] & names
            excluded = {
                name: reason
                for name, reason in LEFT_OUT[dialect, side].items()
                if name in names and name not in seen
            }
            result.setdefault(dialect, {})[side] = {
                "all": len(names),
                "seen": sorted(seen),
                "left_out": dict(sorted(excluded.items())),
                "missing": sorted(names - seen - set(excluded)),
            }
        return result


def collect(folder: Path, into: Path, name: str) -> tuple[Seen, dict[str, Path]]:
    """Joins the logs of one client's sessions into one file per dialect."""
    seen = Seen()
    joined = {}
    for log in sorted(folder.glob("*.jsonl")):
        records = [json.loads(line) for line in log.read_text().splitlines() if line]
        records = [record for record in records if isinstance(record.get("event"), dict)]
        dialect = dialect_of(records)
        path = into / f"{name}.{dialect}.jsonl"
        with path.open("a" if dialect in joined else "w") as out:
            for record in records:
                seen.types[dialect, record["kind"]].add(record["event"].get("type"))
                out.write(json.dumps(record) + "\n")
        joined[dialect] = path
    return seen, joined


def dialect_of(records: list[dict]) -> str:
    for record in records:
        session = record["event"].get("session")
        if record["kind"] == "server" and isinstance(session, dict):
            return "beta" if "audio" not in session else "ga"
    return "ga"


def clear(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_file():
            os.unlink(entry)
