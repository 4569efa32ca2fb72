"""Private servers for a test session: on loopback, with data of their own, gone when the session is."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["postgres_server", "redis_server"]

PATIENCE = 30.0
"""How long a server may take to start or to end, in seconds."""

ATTEMPTS = 3
"""How often to try: somebody else may take the port that was free a moment ago."""


@contextlib.contextmanager
def postgres_server() -> Iterator[int]:
    """Run PostgreSQL, with the superuser ``postgres`` whom it trusts.

    Yields:
        The port that it listens on, at 127.0.0.1.
    """
    programs = _postgres_programs()
    # PostgreSQL refuses to run as root, and its user must reach the directory.
    user = _user("postgres", "nobody") if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="polyloop-postgres-") as directory:
        options: dict[str, Any] = {"cwd": directory}
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
            options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        data = Path(directory, "data")
        subprocess.run(
            [programs / "initdb", "--pgdata", data, "--username=postgres", "--auth=trust", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            env=_environment(directory),
            **options,
        )
        command = [str(programs / "postgres"), "-D", str(data), "-c", "listen_addresses=127.0.0.1"]
        for setting in ("unix_socket_directories=", "fsync=off", "shared_buffers=16MB", "port={port}"):
            command += ["-c", setting]
        options["env"] = _environment(directory)
        with _running(command, "ready to accept connections", options, signal.SIGINT) as port:
            yield port


@contextlib.contextmanager
def redis_server() -> Iterator[int]:
    """Run Redis, which keeps nothing.

    Yields:
        The port that it listens on, at 127.0.0.1.
    """
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no Redis server on this machine: apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="polyloop-redis-") as directory:
        command = [program, "--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--dir", directory]
        options = {"cwd": directory}
        with _running(command, "eady to accept connections", options, signal.SIGTERM) as port:
            yield port


def _postgres_programs() -> Path:
    """The directory of the newest PostgreSQL that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    if elsewhere is None:
        pytest.skip("no PostgreSQL server on this machine: apt-get install postgresql")
    return Path(elsewhere).resolve().parent


def _user(*names: str) -> pwd.struct_passwd:
    for name in names:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip(f"PostgreSQL refuses to run as root, and there is no user {' or '.join(names)}")


def _environment(home: str) -> dict[str, str]:
    return {**os.environ, "HOME": home, "LC_ALL": "C"}


@contextlib.contextmanager
def _running(
    command: Sequence[str], ready: str, options: dict[str, Any], goodbye: signal.Signals
) -> Iterator[int]:
    """Run a server that says when it is ready."""
    complaints: list[str] = []
    for _ in range(ATTEMPTS):
        port = _free_port()
        with _Server([part.format(port=port) for part in command], options, goodbye) as server:
            if server.wait_for(ready):
                yield port
                return
        complaints.append(server.log)
    pytest.fail("\n".join([f"{command[0]} did not start:", *complaints]), pytrace=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Server:
    """A running server; what it says is read all the time, so that it never waits for a reader."""

    _reader: threading.Thread

    def __init__(self, command: Sequence[str], options: dict[str, Any], goodbye: signal.Signals) -> None:
        self.log = ""
        self._goodbye = goodbye
        self._has_said = threading.Event()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal is for the tests
            **options,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.send_signal(self._goodbye)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._reader.join()
        with self._process:  # closes the pipe
            pass

    def wait_for(self, text: str) -> bool:
        """Wait for a line with `text`; False if the server ends without it, or takes too long."""
        self._reader = threading.Thread(target=self._read, args=(text,), name="log of a server")
        self._reader.start()
        return self._has_said.wait(PATIENCE) and text in self.log

    def _read(self, text: str) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.log += line
            if text in line:
                self._has_said.set()
        self._has_said.set()
