"""The pool's end of the line to a worker elsewhere, without a worker: what it sends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from polyloop._codec import Decoder, Kind
from polyloop._frame_link import FrameLink
from polyloop._local import Worker
from polyloop._messages import Cancel
from polyloop._packing import Packer
from tests._idle_calls import make_call


def test_a_call_that_was_called_off_is_asked_to_stop_once() -> None:
    """Ctrl-C in a submit calls off what may have begun; to cancel it as well would tear its clean-up down."""
    worker = Worker(0, 0, name="polyloop-0", backend="process", loops=1, home=None)
    anything: Any = SimpleNamespace(is_choked=False)
    link = FrameLink(worker, anything, anything, [], "hello")
    call = make_call()
    call.packed = Packer("another process", is_by_value=False).pack_call(call.fn, (), {}, None)

    link.send(call)
    call.is_cancelling = True
    link.send(call)  # as the pool does after a Ctrl-C: it cannot know how far the sending was
    link.send(Cancel(call))

    kinds = [frame.kind for frame in Decoder().feed(link._carrier._far.recv(1 << 16))]
    link._carrier.close()
    assert kinds.count(Kind.CALLS) == 1
    assert kinds.count(Kind.CANCEL) == 1
