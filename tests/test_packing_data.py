"""Arguments and results as bytes: they arrive as they were handed in, or are refused by a sentence."""

from __future__ import annotations

import array
import asyncio
import functools
import pickle
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyloop import _packing
from polyloop._packing import pack, pack_value, unpack
from tests._ends import Ends, over, sent


class Image:
    """Has a large buffer that travels beside the pickle, as arrays do."""

    def __init__(self, pixels: Any) -> None:
        self.pixels = pixels

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Image, (pickle.PickleBuffer(self.pixels),)


class TestBuffers:
    """What is large travels beside the pickle."""

    @given(
        things=st.lists(
            st.binary().map(bytearray)
            | st.binary()
            | st.integers()
            | st.binary(max_size=50).map(lambda data: Image(bytearray(data))),
            max_size=6,
        )
    )
    def test_whatever_is_sent_arrives(self, things: list[Any]) -> None:
        """With buffers and without, empty ones too."""

        def plain(things: list[Any]) -> list[Any]:
            return [bytes(thing.pixels) if isinstance(thing, Image) else thing for thing in things]

        _, args, kwargs, _ = Ends().send(asyncio.sleep, *things, things=things)

        assert plain(list(args)) == plain(kwargs["things"]) == plain(over(things)) == plain(things)

    def test_what_is_changed_after_it_was_handed_in_arrives_as_it_was(self) -> None:
        """The call is not sent at once, and its owner may go on with the buffer."""
        pixels = array.array("d", [1.0, 2.0])
        packed = pack(Image(pixels))
        pixels[0] = 9.0

        image = unpack(*sent(packed))

        assert image.pixels.tobytes() == array.array("d", [1.0, 2.0]).tobytes()

    def test_what_could_be_changed_still_can(self) -> None:
        """A copy of a bytearray may be written to there, one of bytes may not."""
        writable, readonly = over([Image(bytearray(b"abc")), Image(b"abc")])

        writable.pixels[0] = 0
        assert bytes(writable.pixels) == b"\0bc"
        assert memoryview(readonly.pixels).readonly

    def test_one_that_is_not_in_one_piece_is_refused(self) -> None:
        """Pickle cannot, and says so; who has such a thing makes a copy of it."""
        with pytest.raises(TypeError, match=r"argument 1 of sleep\(\) cannot be sent .*contiguous"):
            Ends().send(asyncio.sleep, Image(memoryview(bytearray(10))[::2]))

    def test_a_function_that_has_buffers(self) -> None:
        """Those of a partial go with it."""
        image = Image(bytearray(b"abc"))

        assert bytes(Ends().result(functools.partial(lambda image: image.pixels, image))) == b"abc"


class Unsendable:
    """Says why it cannot be pickled."""

    def __reduce__(self) -> Any:
        raise RuntimeError("it is tied to this process")


class TestRefusals:
    """What cannot be sent is named."""

    def test_the_function(self) -> None:
        """One that holds what cannot be sent."""
        lock = threading.Lock()

        def locked() -> None:
            lock.acquire()

        with pytest.raises(TypeError, match=r"the function .*\.locked\(\) cannot be sent .* lock"):
            Ends().send(locked, 1)

    def test_a_positional_argument(self) -> None:
        """By its place, counted from 1."""
        with pytest.raises(TypeError, match=r"argument 2 of sleep\(\) cannot be sent .*tied to this process"):
            Ends().send(asyncio.sleep, 1, Unsendable(), 3)

    def test_a_keyword_argument(self) -> None:
        """By its name."""
        with pytest.raises(TypeError, match=r"the argument result= of sleep\(\) cannot be sent .*tied to"):
            Ends().send(asyncio.sleep, 1, result=Unsendable())

    def test_the_sentence_says_what_to_do(self) -> None:
        """And the first error is its cause."""
        with pytest.raises(
            TypeError, match="open files, connections and locks where the function runs"
        ) as caught:
            Ends().send(asyncio.sleep, Unsendable())

        assert caught.value.__cause__ is not None

    def test_an_error_that_cannot_be_printed(self) -> None:
        """The sentence comes all the same."""

        class Mute(Exception):
            def __str__(self) -> str:
                raise ValueError

        class Unsayable:
            def __reduce__(self) -> Any:
                raise Mute

        with pytest.raises(TypeError, match=r"argument 1 of sleep\(\) cannot be sent .*its __str__ raised"):
            Ends().send(asyncio.sleep, Unsayable())

    def test_a_result(self) -> None:
        """By its type, and the task that returned it."""
        with pytest.raises(TypeError, match=r"the task f\(\) has returned Unsendable, .*return what can be"):
            pack_value(Unsendable(), "the task f()")

    def test_what_cannot_be_made_again_raises_where_it_is_unpacked(self) -> None:
        """Whatever that is; nothing is left behind that would spoil the next call."""
        ends = Ends()

        with pytest.raises(ZeroDivisionError):
            ends.send(asyncio.sleep, Bomb())

        assert ends.send(asyncio.sleep, 1)[1] == (1,)


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self) -> Any:
        return divmod, (1, 0)


class TestSize:
    """What is too large for one message."""

    @pytest.fixture(autouse=True)
    def limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not half a gigabyte."""
        monkeypatch.setattr(_packing, "MOST_BYTES", 10_000)

    def test_arguments(self) -> None:
        """They are refused by a sentence that says what to do."""
        with pytest.raises(ValueError, match=r"the call of sleep\(\) has 2\d,\d+ bytes, .*10,000; send"):
            Ends().send(asyncio.sleep, bytes(20_000))

    def test_buffers(self) -> None:
        """What travels beside the pickle counts."""
        with pytest.raises(ValueError, match="shared memory and send its name"):
            Ends().send(asyncio.sleep, Image(bytearray(20_000)))

    def test_a_function(self) -> None:
        """One without arguments that refers to too much."""
        data = bytes(20_000)

        with pytest.raises(ValueError, match=r"the call of .*<lambda>\(\) has 2\d,\d+ bytes"):
            Ends().send(lambda: data)

    def test_a_result(self) -> None:
        """By the task that returned it."""
        with pytest.raises(ValueError, match=r"what the task f\(\) has returned has 2\d,\d+ bytes"):
            pack_value(bytes(20_000), "the task f()")


def test_nothing_takes_no_bytes() -> None:
    """Most calls return None."""
    assert sum(map(len, pack_value(None, "the task f()")[1])) == 0
    assert over(None) is None
