"""What the run tells whoever started it."""

import sys
import threading

_lock = threading.Lock()


class Failure(Exception):
    """The run cannot go on; the message is for whoever started it."""


def say(text: str) -> None:
    with _lock:
        print(text, file=sys.stderr, flush=True)
