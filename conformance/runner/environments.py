"""Interpreters with the pinned clients installed, below `target/conformance/`."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .say import Failure, say

INSTALL_LIMIT = 900
"""Seconds for one installation, which may have to fetch everything."""


class Environments:
    """Makes an environment the first time it is asked for, and again when its lock changed."""

    def __init__(self, suite: Path, work: Path):
        self._suite = suite
        self._work = work

    def install(self, names: set[str]) -> None:
        # An installation mostly waits for the network and the disk.
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(self._install, sorted(names)))

    def command(self, name: str, arguments: tuple[str, ...]) -> list[str]:
        """The command line of a driver; arguments that begin with `-` go to the interpreter."""
        flags = [argument for argument in arguments if argument.startswith("-")]
        script, *rest = [argument for argument in arguments if not argument.startswith("-")]
        if name == "node":
            # Modules are found beside the driver, so the drivers run as copies.
            return ["node", "--no-warnings", *flags, str(self._node() / script), *rest]
        return [str(self.python(name)), *flags, str(self._suite / "clients" / script), *rest]

    def python(self, name: str) -> Path:
        folder = self._work / f"venv-{name}"
        return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def _node(self) -> Path:
        return self._work / "node"

    def _install(self, name: str) -> None:
        if name == "node":
            self._install_node()
        else:
            self._install_python(name)

    def _install_python(self, name: str) -> None:
        lock = self._suite / "locks" / f"{name}.txt"
        refuse_hosts(lock)
        folder = self._work / f"venv-{name}"
        mark = f"{fingerprint(lock)} {sys.version.split()[0]}"
        if is_marked(folder, mark):
            return
        say(f"installing {name}")
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        call(
            [
                str(self.python(name)),
                *("-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *("--require-hashes", "--requirement", str(lock)),
            ],
            f"the clients of {name} cannot be installed",
        )
        (folder / "installed").write_text(mark)

    def _install_node(self) -> None:
        if shutil.which("npm") is None:
            raise Failure("the Node clients need node 20 or newer and npm: install them, or use --only")
        package, lock = (self._suite / name for name in ("package.json", "package-lock.json"))
        refuse_hosts(lock)
        folder = self._node()
        mark = fingerprint(package, lock)
        if not is_marked(folder, mark):
            say("installing node")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for file in (package, lock):
                shutil.copy(file, folder)
            call(
                ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"],
                "the Node clients cannot be installed",
                cwd=folder,
            )
            (folder / "installed").write_text(mark)
        for driver in (self._suite / "clients").glob("*.mjs"):
            shutil.copy(driver, folder)


def refuse_hosts(lock: Path) -> None:
    """A lock that names where packages came from works nowhere else."""
    found = re.search(r'^.*(?:https?://|"resolved"|--(?:extra-)?index-url|--find-links).*$', lock.read_text(), re.M)
    if found:
        raise Failure(f"{lock.name} names a host, which works nowhere else; remove: {found.group().strip()}")


def fingerprint(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def is_marked(folder: Path, mark: str) -> bool:
    try:
        return (folder / "installed").read_text() == mark
    except OSError:
        return False


def call(command: list[str], complaint: str, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"{complaint}: not done after {INSTALL_LIMIT} s") from None
    if done.returncode:
        raise Failure(f"{complaint}:\n{(done.stdout + done.stderr)[-2000:]}")
