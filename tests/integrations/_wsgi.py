"""A program that serves the ``app`` of one file, with the standard library's WSGI server.

It prints its port, and serves until its standard input ends. With ``--workers N`` it does as a preloading
server does: it imports the application and forks so many workers. Each of them prints a port of its own: real
ones share one, and which of them answers is then left to chance. With ``--warm-up PATH`` it answers a request
itself before it forks, and another one after the workers have ended.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import socketserver
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.util import setup_testing_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each connection, as most WSGI servers have."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Without the look for the host's full name, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]
        self.setup_environ()


class Quiet(WSGIRequestHandler):
    """Logs no requests."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Nothing."""


def _load(file: str) -> WSGIApplication:
    spec = importlib.util.spec_from_file_location("shop", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["shop"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app  # type: ignore[no-any-return]


def _with_pid(app: WSGIApplication) -> WSGIApplication:
    """Let each answer say which process it comes from."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            return start_response(status, [*headers, ("X-Process", str(os.getpid()))], *rest)

        return app(environ, start)

    return answer


def _request(app: WSGIApplication, path: str) -> None:
    """Ask `app` in this process, without a server."""
    environ: WSGIEnvironment = {"PATH_INFO": path, "HTTP_HOST": "127.0.0.1"}
    setup_testing_defaults(environ)
    statuses: list[str] = []

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda _: None

    for _ in app(environ, start):
        pass
    assert statuses == ["200 OK"], statuses


def _serve(app: WSGIApplication) -> None:
    """Answer until the standard input ends; workers share it."""
    with Server(("127.0.0.1", 0), Quiet) as server:
        server.set_app(_with_pid(app))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        # In one write: with PYTHONUNBUFFERED print() makes two, and another worker's may come between them.
        os.write(1, f"{server.server_port}\n".encode())
        os.read(0, 1)
        server.shutdown()
        thread.join()


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--warm-up", metavar="PATH")
    options = parser.parse_args()
    app = _load(options.file)
    if options.warm_up:
        _request(app, options.warm_up)
    # That one should not fork where threads are, which after a warm-up there are.
    warnings.simplefilter("ignore", DeprecationWarning)
    workers: list[int] = []
    for _ in range(options.workers):
        worker = os.fork()
        if not worker:
            _serve(app)
            return
        workers.append(worker)
    if not workers:
        _serve(app)
    for worker in workers:
        assert os.waitpid(worker, 0)[1] == 0
    if options.warm_up:
        _request(app, options.warm_up)


if __name__ == "__main__":
    _main()
