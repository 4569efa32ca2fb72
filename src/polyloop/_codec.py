"""Frames: what crosses between a pool and a worker that shares no memory with it, as bytes.

A frame is a header and a body, which begins with a table: many small messages cross for the price of one.
Nothing is pickled or unpickled here. What a payload means is not known, so one that cannot be read spoils
only the call that it belongs to.

The law: whatever bytes come in, `Decoder.feed` returns what they say, waits for more, or raises
`BrokenFrame`. It never holds more than one frame that is not whole, the size of that is limited, and memory
is taken for what has arrived, not for what is announced.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import TypeAlias

__all__ = [
    "CANCELLED",
    "ERROR",
    "HEADER_BYTES",
    "MOST_BYTES",
    "MOST_ENTRIES",
    "VALUE",
    "BrokenFrame",
    "Bytes",
    "Decoder",
    "Entry",
    "Frame",
    "Kind",
    "encode",
]

MAGIC = b"pl"
VERSION = 1
# Magic, version, kind, how many entries the table has, how many bytes follow.
_HEADER = struct.Struct("<2sBBIQ")
HEADER_BYTES = _HEADER.size

MOST_BYTES = 1 << 29
"""The largest body, in bytes: what is larger does not belong into one message."""

MOST_ENTRIES = 1 << 24
"""The longest table: more calls than one worker can have."""

# Of each entry: the number of the call, the bytes of its payload, and a tag whose meaning the kind has.
_ENTRY_BYTES = 8 + 8 + 1


class Kind(IntEnum):
    """What a frame is about. The first ones go down to the worker, the others come up from it."""

    SETUP = 1
    """Who the worker is to be, and what it needs for that."""
    CALLS = 2
    """Calls to start, in order."""
    CANCEL = 3
    """Tasks to cancel."""
    LEAVE = 4
    """Leave; the payload has the grace."""
    PING = 5
    """Answer."""

    HELLO = 16
    """The first one of all: which library and which Python this is."""
    READY = 17
    """The worker is up."""
    FAILED = 18
    """The worker did not come up, and why."""
    STARTED = 19
    """Calls whose first steps are about to be taken."""
    DONE = 20
    """Outcomes."""
    STUCK = 21
    """Tasks that would not end within the grace."""
    LEFT = 22
    """The worker has ended as it was told to."""
    PONG = 23
    """The answer to a ping."""
    LOG = 24
    """Log records. In the place of a call's number is how many were dropped before."""


# What an outcome is: the upper half of its tag. The lower half is that of its payload.
VALUE, ERROR, CANCELLED = 0 << 4, 1 << 4, 2 << 4

# So that the decoder need not ask the enum for every frame.
_KINDS = {int(kind): kind for kind in Kind}

Bytes: TypeAlias = bytes | bytearray | memoryview
Entry: TypeAlias = tuple[int, int, Sequence[Bytes], int]
"""One message of a table: the number of its call, its tag, the parts of its payload and their bytes."""


class BrokenFrame(Exception):
    """These bytes are no frames of this version of the library: whoever sends them cannot be talked to.

    Attributes:
        frames: What came before them, and is as good as any.
    """

    frames: Sequence[Frame] = ()


@dataclass(slots=True)
class Frame:
    """A frame that has arrived.

    Attributes:
        kind: What it is about.
        numbers: The calls that it is about.
        tags: What its kind has to say of each of them.
        payloads: Of each of them. They are views of memory that belongs to this frame alone.
    """

    kind: Kind
    numbers: Sequence[int]
    tags: bytes
    payloads: list[memoryview]


def encode(kind: Kind, entries: Sequence[Entry] = ()) -> list[Bytes]:
    """One frame, as parts to be sent one after the other.

    Args:
        kind: What it is about.
        entries: What it says, at most `MOST_ENTRIES`. The payloads together may not have more than
            `MOST_BYTES`.
    """
    count = len(entries)
    if count == 1:  # as below, spelt out: of one call after another each has a frame of its own
        [(number, tag, parts, size)] = entries
        head = _ONE.pack(MAGIC, VERSION, kind, 1, _ENTRY_BYTES + size, number, size, tag)
    else:
        numbers, tags, payloads, sizes = zip(*entries, strict=True) if entries else ((), (), (), ())
        head = _HEADER.pack(MAGIC, VERSION, kind, count, count * _ENTRY_BYTES + sum(sizes)) + struct.pack(
            f"<{count}Q{count}Q{count}B", *numbers, *sizes, *tags
        )
        return [head, *chain.from_iterable(payloads)]
    return [head, *parts]


_ONE = struct.Struct("<2sBBIQQQB")


class Decoder:
    """Makes frames of bytes that arrive in pieces. Owned by whoever reads.

    Args:
        most_bytes: The largest body that is taken for one.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = bytearray()
        self._broken = ""

    @property
    def is_between_frames(self) -> bool:
        """Whether all that has arrived were whole frames."""
        return not self._bytes

    def feed(self, data: Bytes) -> list[Frame]:
        """The frames that are whole by now.

        Args:
            data: What has arrived.

        Raises:
            BrokenFrame: That is no frame. Nothing that comes after it means anything, so from now on this is
                all that is ever answered.
        """
        if self._broken:
            raise BrokenFrame(self._broken)
        self._bytes += data
        frames: list[Frame] = []
        start = 0
        try:
            while len(self._bytes) - start >= HEADER_BYTES:
                kind, count, size = self._read_header(start)
                end = start + HEADER_BYTES + size
                if end > len(self._bytes):
                    break
                # A copy, which nobody changes any more: arrays that are made of its parts may be written to.
                frames.append(_read_body(kind, count, self._bytes[start + HEADER_BYTES : end]))
                start = end
        except BrokenFrame as error:
            self._broken = str(error)
            self._bytes.clear()
            error.frames = frames
            raise
        del self._bytes[:start]
        return frames

    def _read_header(self, start: int) -> tuple[Kind, int, int]:
        magic, version, number, count, size = _HEADER.unpack_from(self._bytes, start)
        if magic != MAGIC:
            raise BrokenFrame(f"a frame begins with {MAGIC!r}, and here it is {magic!r}")
        if version != VERSION:
            raise BrokenFrame(f"the frame is of version {version}, and this library speaks version {VERSION}")
        kind = _KINDS.get(number)
        if kind is None:
            raise BrokenFrame(f"there is no kind of frame with the number {number}")
        table = count * _ENTRY_BYTES
        if count > MOST_ENTRIES or not table <= size <= table + (self._most_bytes if count else 0):
            raise BrokenFrame(f"a frame of {size} bytes cannot have a table of {count} entries")
        return kind, count, size


def _read_body(kind: Kind, count: int, body: bytearray) -> Frame:
    if not count:
        return Frame(kind, (), b"", [])
    numbers = struct.unpack_from(f"<{count}Q", body)
    sizes = struct.unpack_from(f"<{count}Q", body, 8 * count)
    start = count * _ENTRY_BYTES
    tags = bytes(body[16 * count : start])
    if start + sum(sizes) != len(body):
        raise BrokenFrame(
            f"the entries of a frame have {sum(sizes)} bytes together, and it has {len(body) - start}"
        )
    view = memoryview(body)
    payloads: list[memoryview] = []
    for size in sizes:
        payloads.append(view[start : start + size] if size else _NOTHING)
        start += size
    return Frame(kind, numbers, tags, payloads)


# For all payloads that are empty, which most outcomes are: a view of a frame's own takes longer to make.
_NOTHING = memoryview(b"")
