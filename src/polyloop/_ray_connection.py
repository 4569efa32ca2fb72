"""How a program comes by Ray, and is connected to a cluster, if it is not connected yet."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import socket
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

from ._cluster import check_address
from ._threads import daemon_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOOK_SECONDS", "connect", "dial", "import_ray"]

# How often one that waits for Ray looks whether it is still wanted, in seconds.
LOOK_SECONDS = 0.2
# How long the first node of a cluster may take to pick up, in seconds.
DIAL_SECONDS = 10.0


def import_ray() -> Any:
    """Ray, without its types: it may not be installed.

    Raises:
        RuntimeError: It is not.
    """
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise RuntimeError("loops on Ray need it installed: pip install polyloop[ray]") from error


def connect(
    ray: Any,
    address: str | None,
    deadline: float,
    is_unwanted: Callable[[], bool] = bool,
    **options: Any,
) -> None:
    """Connect this program to a cluster, unless it is connected.

    Args:
        ray: The module.
        address: Where the cluster is; see `Cluster`.
        deadline: By when, on the clock of ``time.monotonic()``.
        is_unwanted: Whether that is not wanted any more.
        options: What else ``ray.init`` is given.

    Raises:
        RuntimeError: There is none, or none that fits.
        ValueError: ``RAY_ADDRESS``, which is taken where `address` names none, cannot be that of one.
    """
    if ray.is_initialized():
        return
    if address in {None, "auto"} and (named := os.environ.get("RAY_ADDRESS")):
        check_address("RAY_ADDRESS", named)
        address = named
    where = address or "this machine"
    if address is not None:
        dial(address)
    attempt = _Attempt(ray, functools.partial(ray.init, address=address, **options))
    while not attempt.is_over.wait(LOOK_SECONDS):
        attempt.is_given_up = is_unwanted() or monotonic() > deadline
        if attempt.is_given_up:
            raise RuntimeError(f"no Ray cluster has answered at {where} so far")
    if attempt.error is not None:
        said = " ".join(str(attempt.error).split())
        raise RuntimeError(f"no Ray cluster could be used at {where}: {said}") from attempt.error


def dial(address: str) -> None:
    """See whether there is anybody: Ray itself would go on trying for minutes.

    Raises:
        RuntimeError: There is nobody.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return  # auto or local: it is for Ray to find out where that is
    try:
        socket.create_connection((host.strip("[]"), int(port)), DIAL_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise RuntimeError(
            f"no Ray cluster answers at {address}: {error}; start one, as with ray start --head, or give "
            "Cluster(address=...) that of its first node"
        ) from error


class _Attempt:
    """A thread that connects the program, one at a time.

    It stays: processes that Ray starts here are told to end with the thread that has started them.
    """

    def __init__(self, ray: Any, begin: Callable[[], object]) -> None:
        self.is_over = threading.Event()
        self.is_given_up = False
        self.error: Exception | None = None
        daemon_thread(self._main, "polyloop-ray", ray, begin).start()

    def _main(self, ray: Any, begin: Callable[[], object]) -> None:
        try:
            with _connecting:
                if self.is_given_up or ray.is_initialized():
                    return
                _ray_logger.addFilter(_is_of_use)
                try:
                    begin()
                finally:
                    _ray_logger.removeFilter(_is_of_use)
        except Exception as error:  # noqa: BLE001 - for who has asked
            self.error = error
            return
        finally:
            self.is_over.set()
        threading.Event().wait()


_connecting = threading.Lock()
_ray_logger = logging.getLogger("ray._private.worker")


def _is_of_use(record: logging.LogRecord) -> bool:
    """Ray warns, each time, that in a thread like this it leaves SIGTERM alone, which is all right."""
    return not record.getMessage().startswith("SIGTERM handler is not set")
