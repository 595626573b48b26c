#!/usr/bin/env python3
"""Runs foreign Realtime clients against `kaiwa serve` and says how each of them fared.

Needs Python 3.11 with venv, Node 20 with npm, and a built kaiwa. Writes
`docs/conformance.md`, and below `target/conformance/` the results, the event logs and the
coverage as JSON. The exit code is 1 if a cell is red, an event is missing, or with `--check`
the page is not what the run says.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from runner import events, page
from runner.catalogue import CLIENTS, Client
from runner.environments import Environments
from runner.say import Failure, say
from runner.server import Binary, tools

SUITE = Path(__file__).resolve().parent
ROOT = SUITE.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PAGE = ROOT / "docs" / "conformance.md"

SCRIPTED = ("--engine", "scripted", "--script", SUITE / "script.toml")
"""Engines that answer as the drivers expect."""

DRIVER_LIMIT = 240
"""Seconds for all scenarios of one client."""


def main() -> int:
    options = arguments()
    clients = chosen(options.only)
    work = TARGET / "conformance"
    environments = Environments(SUITE, work)
    # The schemas' check runs in the environment that has a validator.
    environments.install({client.environment for client in clients} | {"openai"})
    if options.install:
        return 0
    protocol = events.Protocol(
        Path(os.environ.get("KAIWA_PROTOCOL_DIR", ROOT.parent / "shared" / "protocol")),
        environments.python("openai"),
    )
    binary = None if options.url else Binary(options.kaiwa)
    if binary is None:
        # Only of a server of ours is it known where its engines are.
        clients = [client for client in clients if not client.elsewhere]
    run = Run(environments, protocol, binary, options.url, work)
    with ThreadPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(run.client, clients):
            run.add(outcome)
    return run.conclude(is_whole=not options.only, is_check=options.check)


def count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return number


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="run this client (may be repeated)"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="fail if docs/conformance.md is not what this run says, and leave it alone",
    )
    parser.add_argument("--install", action="store_true", help="install the clients and stop")
    parser.add_argument(
        "--url",
        help="a running server, such as http://127.0.0.1:8080, that plays script.toml; its events are "
        "not seen, so no page is written",
    )
    parser.add_argument("--jobs", type=count, default=2, metavar="N", help="clients at once (default 2)")
    parser.add_argument(
        "--kaiwa",
        type=Path,
        default=Path(os.environ.get("KAIWA_BIN", TARGET / "ci" / "kaiwa")),
        metavar="FILE",
        help="the program under test (default: KAIWA_BIN, else target/ci/kaiwa)",
    )
    return parser.parse_args()


def chosen(names: list[str]) -> list[Client]:
    known = {client.name: client for client in CLIENTS}
    for name in names:
        if name not in known:
            raise Failure(f"there is no client {name}; there are {', '.join(known)}")
    return [client for client in CLIENTS if not names or client.name in names]


class Outcome:
    """What one client's driver and the server's logs said."""

    def __init__(self, client: Client):
        self.client = client
        self.cells: dict[str, page.Cell] = {}
        self.seen = events.Seen()


class Run:
    """One run of the suite: clients in, page and verdict out."""

    def __init__(self, environments, protocol, binary, url, work):
        self._environments = environments
        self._protocol = protocol
        self._binary = binary
        self._url = url
        self._work = work
        self._results = page.Results()
        self._seen = events.Seen()
        for folder in ("logs", "events"):
            (work / folder).mkdir(parents=True, exist_ok=True)

    def client(self, client: Client) -> Outcome:
        """Runs the driver of one client, with a server of its own."""
        say(f"running {client.name}")
        outcome = Outcome(client)
        log = self._work / "logs"
        sessions = self._work / "sessions" / client.name
        events.clear(sessions)
        with ExitStack() as running:
            if self._binary is None:
                peers = {"KAIWA_URL": self._url.rstrip("/")}
            else:
                peers = self._serve(running, client, sessions)
            outcome.cells = self._drive(client, peers, log / f"{client.name}.log")
        outcome.cells["events"] = self._judge_events(client, sessions, outcome.seen)
        return outcome

    def _serve(self, running: ExitStack, client: Client, sessions: Path) -> dict[str, str]:
        """Starts what the client talks to; the variables that tell its driver of it."""
        logs = self._work / "logs"
        peers = {}
        serve = client.serve
        if client.uses_tools:
            command = self._environments.command("openai", ("mcp_tools.py",))
            url = running.enter_context(tools(command, logs / f"{client.name}.tools.log"))
            peers["KAIWA_MCP_URL"] = url
            serve = (*serve, "--mcp-allow", url)
        if client.elsewhere:
            far = sessions.with_name(f"{sessions.name}.elsewhere")
            events.clear(far)
            server = self._binary.serve(far, logs / f"{client.name}.elsewhere.log", SCRIPTED)
            url, _ = running.enter_context(server)
            for role in client.elsewhere:
                serve = (*serve, f"--{role}-url", f"{url}/v1", f"--{role}-model", "scripted")
        server = self._binary.serve(sessions, logs / f"{client.name}.server.log", (*SCRIPTED, *serve))
        url, pid = running.enter_context(server)
        return peers | {"KAIWA_URL": url, "KAIWA_PID": str(pid)}

    def _drive(self, client: Client, peers: dict[str, str], log: Path) -> dict[str, page.Cell]:
        command = self._environments.command(client.environment, client.command)
        environment = os.environ | peers | {"PYTHONDONTWRITEBYTECODE": "1"}
        with log.open("w") as errors:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            try:
                text, _ = process.communicate(timeout=DRIVER_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                text, _ = process.communicate()
        cells = {}
        for line in text.splitlines():
            # Clients print too.
            if line.startswith('{"scenario"'):
                report = json.loads(line)
                cells[report["scenario"]] = page.Cell(report["result"], report["detail"])
        return cells

    def _judge_events(self, client: Client, sessions: Path, seen: events.Seen) -> page.Cell:
        if not self._sees_events():
            return page.Cell("n/a", "the server's events were not recorded")
        found, logs = events.collect(sessions, self._work / "events", client.name)
        seen.add(found)
        if not logs:
            return page.Cell("fail", "the server recorded no events")
        complaints = [
            complaint for dialect, log in logs.items() for complaint in self._protocol.complaints(log, dialect)
        ]
        if complaints:
            (self._work / "logs" / f"{client.name}.events.log").write_text("\n".join(complaints) + "\n")
            return page.Cell("fail", f"{len(complaints)} complaints, first: {complaints[0]}")
        return page.Cell("pass")

    def _sees_events(self) -> bool:
        return self._binary is not None and self._binary.knows("--log-events")

    def add(self, outcome: Outcome) -> None:
        for scenario in outcome.client.group.scenarios:
            log = self._work / "logs" / f"{outcome.client.name}.log"
            cell = outcome.cells.get(scenario, page.Cell("fail", f"not reported; see {log}"))
            self._results.put(outcome.client, scenario, cell)
        self._seen.add(outcome.seen)

    def conclude(self, is_whole: bool, is_check: bool) -> int:
        """Prints the table and writes the files; the exit code."""
        coverage = self._seen.coverage(self._protocol)
        (self._work / "results.json").write_text(json.dumps(self._results.as_json(), indent=2) + "\n")
        print(page.terminal(self._results))
        red = self._results.red()
        code = 1 if red else 0
        if is_whole and self._sees_events():
            code |= self._conclude_whole(coverage, is_check)
        elif is_check:
            code = 1
            print("--check needs every client, and a server whose events are recorded")
        passed, skipped = self._results.count("pass"), self._results.count("n/a")
        print(f"{passed} passed, {len(red)} failed, {skipped} skipped", flush=True)
        return code

    def _conclude_whole(self, coverage: dict, is_check: bool) -> int:
        code = 0
        (self._work / "coverage.json").write_text(json.dumps(coverage, indent=2) + "\n")
        for dialect, sides in coverage.items():
            for side, what in sides.items():
                seen, left_out = len(what["seen"]), len(what["left_out"])
                print(f"{dialect} {side} events: {seen} of {what['all']} seen, {left_out} left out")
                if what["missing"]:
                    code = 1
                    print(f"    missing: {', '.join(what['missing'])}")
        text = page.page(self._results, coverage)
        if not is_check:
            PAGE.write_text(text)
        elif not PAGE.is_file() or PAGE.read_text() != text:
            code = 1
            (self._work / "conformance.md").write_text(text)
            print(f"docs/conformance.md is not what this run says; compare {self._work / 'conformance.md'}")
        return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        say(f"conformance: {failure}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
