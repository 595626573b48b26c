"""The server under test: `kaiwa serve` on scripted engines, and what it talks to."""

import os
import re
import signal
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

from .say import Failure

KEYS = {"KAIWA_CONFORMANCE_KEYS": "sk-conformance"}
"""The key that the drivers present, for servers that ask for one."""

START_LIMIT = 30.0
STOP_LIMIT = 10.0


class Binary:
    """A kaiwa program and what it can do."""

    def __init__(self, path: Path):
        if not path.is_file():
            raise Failure(f"{path} is missing: build it (make binary), or set KAIWA_BIN")
        self.path = path
        usage = subprocess.run(
            [path, "serve", "--help"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
        self._options = set(re.findall(r"--[a-z-]+", usage))

    def knows(self, option: str) -> bool:
        return option in self._options

    @contextmanager
    def serve(self, events: Path, log: Path, arguments: tuple[str | Path, ...]):
        """Runs a server for as long as the context lasts; gives its address as an HTTP URL."""
        command = [self.path, "serve", "--listen", "127.0.0.1:0", *arguments]
        if self.knows("--log-events"):
            command += ["--log-events", events]
        process = subprocess.Popen(
            command,
            env=os.environ | KEYS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with running(process, log) as address:
            yield address, process.pid


@contextmanager
def tools(command: list[str], log: Path):
    """Runs an MCP server for as long as the context lasts; gives its URL."""
    process = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with running(process, log) as url:
        yield url


@contextmanager
def running(process: subprocess.Popen, log: Path):
    """Ends the process with the context; gives the HTTP URL that it says it listens on."""
    lines = Lines(process.stdout, log)
    try:
        yield lines.address()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        lines.finish()


class Lines:
    """Copies a server's output into a file and looks for its address."""

    def __init__(self, stream, log: Path):
        self._stream = stream
        self._log = log
        self._address = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def address(self) -> str:
        self._ready.wait(START_LIMIT)
        if self._address is None:
            raise Failure(f"the server did not say where it listens; see {self._log}")
        return self._address

    def finish(self) -> None:
        self._thread.join(STOP_LIMIT)

    def _copy(self) -> None:
        with self._log.open("w") as log:
            for line in self._stream:
                log.write(line)
                log.flush()
                found = re.search(r"listens on (?:ws://([^/\s]+)|(http://\S+))", line)
                if found and self._address is None:
                    self._address = found.group(2) or f"http://{found.group(1)}"
                    self._ready.set()
        self._ready.set()
