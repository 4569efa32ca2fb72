"""Both ends of what crosses between a pool and its processes, in one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyloop._codec import Decoder
from polyloop._packing import Packer, Unpacker, divide, pack, unpack
from polyloop._plain import PLAIN, encode_calls, split

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyloop._packing import Packed

__all__ = ["Ends", "over", "sent"]

Received = tuple["Callable[..., Any]", tuple[Any, ...], dict[str, Any], str | None]


def sent(packed: Packed) -> tuple[memoryview, int]:
    """What comes out at the other end, as a decoder hands it on."""
    tag, parts, size = packed
    data = bytearray(b"".join(parts))
    assert len(data) == size
    return memoryview(data), tag


def over(thing: Any) -> Any:
    """That, in another process."""
    return unpack(*sent(pack(thing)))


class Ends:
    """Both ends of a line."""

    def __init__(self, *, is_by_value: bool = False) -> None:
        self.packer = Packer("another process", is_by_value=is_by_value)
        self.unpacker = Unpacker()

    def send(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Received:
        """Pack a call and unpack it."""
        return self.receive(self.packer.pack_call(fn, args, kwargs, None))

    def receive(self, packed: Packed) -> Received:
        """What the worker makes of a call that was packed."""
        if packed[0] != PLAIN:
            return self.unpacker.unpack_call(*sent(packed))
        [frame] = Decoder().feed(b"".join(encode_calls([(1, *packed)])))
        name, rest = divide(frame.payloads[0])
        [number], [args] = split(rest)
        assert number == 1
        return self.unpacker.function(name), args, {}, None

    def result(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What the call returns at the other end."""
        there, its_args, its_kwargs, _ = self.send(fn, *args, **kwargs)
        return there(*its_args, **its_kwargs)
