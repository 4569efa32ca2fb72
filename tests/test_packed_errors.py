"""Errors as bytes: each arrives as itself or as what it said, and none harms whoever packs or unpacks it."""

from __future__ import annotations

import threading
import urllib.error
from contextlib import suppress
from email.message import Message
from typing import TYPE_CHECKING

import pytest

from polyloop import WorkerLost, _packed_errors
from polyloop._errors import RemoteError, RemoteTraceback
from polyloop._packed_errors import MOST_TEXT, pack_error, unpack_error
from tests._bad_errors import (
    EndsItsProgram,
    EndsPrograms,
    Frozen,
    Holding,
    KeywordOnly,
    NotAnError,
    SaysText,
    Text,
    TwoArguments,
    Unprintable,
    UnsayableAgain,
    WithAttributes,
    WithBuffer,
)
from tests._ends import sent

if TYPE_CHECKING:
    from collections.abc import Callable


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The error, with a traceback."""
    with suppress(BaseException):
        raise error from cause
    return error


def over(error: BaseException) -> BaseException:
    """That, in another process."""
    return unpack_error(*sent(pack_error(error)))


def http_error() -> BaseException:
    """The one that people meet."""
    return urllib.error.HTTPError("https://example.org", 404, "Not Found", Message(), None)


def local_error() -> BaseException:
    """Of a class that no name leads to."""

    class Local(ValueError):
        """It goes by value."""

    return Local("here")


def group() -> BaseException:
    """Errors of a task group."""
    return ExceptionGroup("several", [ValueError("first"), KeyError("second")])


ARRIVE = [
    ValueError("plain"),
    SystemExit(3),
    KeyboardInterrupt(),
    WithAttributes("with more"),
    WorkerLost("lost", worker=3, may_have_run=False),
    OSError(2, "no such file", "a name"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
    Frozen(),
    Unprintable("it has an argument"),
]


@pytest.mark.parametrize("error", ARRIVE, ids=lambda error: type(error).__name__)
def test_what_pickle_can_make_again_arrives_as_itself(error: BaseException) -> None:
    """Of the same class, with its arguments and attributes, and the remote traceback as its cause."""
    arrived = over(raised(error))

    assert type(arrived) is type(error)
    assert arrived.args == error.args
    assert vars(arrived) == vars(error)
    assert isinstance(arrived.__cause__, RemoteTraceback)
    assert "in raised" in str(arrived.__cause__)


@pytest.mark.parametrize("make", [http_error, local_error, group])
def test_others_that_arrive_as_themselves(make: Callable[[], BaseException]) -> None:
    """Or as an instance of a class of the same name and with the same text."""
    error = raised(make())

    arrived = over(error)

    if not isinstance(arrived, RemoteError):
        assert type(arrived).__qualname__ == type(error).__qualname__
    assert str(error) in str(arrived)
    assert isinstance(arrived.__cause__, RemoteTraceback)
    for one in (error, arrived):
        if isinstance(one, urllib.error.HTTPError):
            one.close()


def test_a_group_arrives_with_its_members() -> None:
    """`except*` works on it."""
    arrived = over(raised(group()))

    assert isinstance(arrived, ExceptionGroup)
    assert [repr(error) for error in arrived.exceptions] == ["ValueError('first')", "KeyError('second')"]


def test_a_local_class_can_be_caught_by_its_bases() -> None:
    """It goes by value."""
    assert isinstance(over(raised(local_error())), ValueError)


TOLD = [
    (KeywordOnly(code=7), "code 7"),
    (TwoArguments(1, 2), "1 and 2"),
    (Holding(), "locked"),
    (EndsPrograms("text"), "text"),
    (EndsItsProgram("text"), "text"),
    (NotAnError("text"), "text"),
    (UnsayableAgain("text"), "text"),
    (ExceptionGroup("several", [TwoArguments(1, 2)]), "several (1 sub-exception)"),
]


@pytest.mark.parametrize(("error", "text"), TOLD, ids=[type(error).__name__ for error, _ in TOLD])
def test_what_cannot_be_made_again_is_told(error: Exception, text: str) -> None:
    """By a RemoteError: with the name of its class, its text, its notes and its traceback."""
    error.add_note("a note")

    arrived = over(raised(error))

    assert type(arrived) is RemoteError
    name = type(error).__qualname__
    if type(error) is not ExceptionGroup:
        name = f"{type(error).__module__}.{name}"
    assert (arrived.type_name, arrived.text, str(arrived)) == (name, text, f"{name}: {text}")
    assert arrived.__notes__ == ["a note"]
    assert "in raised" in arrived.traceback
    assert isinstance(arrived.__cause__, RemoteTraceback)
    assert arrived.traceback in str(arrived.__cause__)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (EndsPrograms(), "SystemExit: at unpickling"),
        (UnsayableAgain(), r"Unprintable: (its __str__ raised SystemExit)"),
        (TwoArguments(1, 2), "TypeError: "),
    ],
    ids=["SystemExit", "unprintable", "TypeError"],
)
def test_why_it_cannot_be_made_again_is_noted(error: Exception, why: str) -> None:
    """Whoever wonders why it is no instance of its class finds out."""
    cause = over(raised(error)).__cause__

    assert cause is not None
    assert f"It cannot be made again in this process: {why}" in cause.__notes__[0]


class TestText:
    """What is said of errors whose class makes that hard."""

    def test_notes_arrive_with_the_error(self) -> None:
        """As attributes do."""
        error = ValueError("x")
        error.add_note("a note")

        assert over(raised(error)).__notes__ == ["a note"]

    @pytest.mark.parametrize("notes", [5, None, [Unprintable(), Text("strange")]])
    def test_notes_that_are_none(self, notes: object) -> None:
        """Code that sets them may set anything."""
        error = Holding()
        error.__notes__ = notes  # type: ignore[assignment]  # that is the point

        arrived = over(raised(error))

        expected = ["(its __str__ raised SystemExit)", "strange"] if isinstance(notes, list) else []
        assert getattr(arrived, "__notes__", []) == expected

    def test_what_cannot_be_printed(self) -> None:
        """Says that."""
        error = Unprintable()
        error.__dict__["lock"] = threading.Lock()

        arrived = over(raised(error))

        assert isinstance(arrived, RemoteError)
        assert arrived.text == "(its __str__ raised SystemExit)"

    def test_a_text_of_a_strange_class(self) -> None:
        """Only the text itself crosses."""
        error = SaysText()
        error.__dict__["lock"] = threading.Lock()

        arrived = over(raised(error))

        assert isinstance(arrived, RemoteError)
        assert (type(arrived.text), arrived.text) == (str, "strange")

    def test_the_errors_that_led_to_it(self) -> None:
        """Pickle loses them; the text has them, also for an error that arrives as itself."""
        for error in (ValueError("last"), Holding()):
            text = str(over(raised(error, raised(KeyError("middle"), OSError("first")))).__cause__)

            first, middle, last = (text.index(word) for word in ("first", "middle", type(error).__name__))
            assert first < middle < last
            assert "direct cause of the following" in text

    def test_an_endless_recursion(self) -> None:
        """Its traceback of a thousand frames is cut to a size that can be read."""

        def recurse(depth: int) -> None:
            # Two lines in turn, so that the frames are not counted but written out.
            if depth % 2:
                recurse(depth + 1)
            else:
                recurse(depth + 1)

        with pytest.raises(RecursionError) as caught:
            recurse(0)
        arrived = over(caught.value)

        assert type(arrived) is RecursionError
        text = str(arrived.__cause__)
        assert len(text) < MOST_TEXT + 1000
        assert "characters left out" in text
        assert "maximum recursion depth exceeded" in text

    def test_a_chain_of_very_many_causes(self) -> None:
        """Though it may be more than the formatting of tracebacks can take."""
        error: BaseException = ValueError("first")
        for number in range(3000):
            error = raised(ValueError(number), error)

        arrived = over(error)

        assert repr(arrived) == "ValueError(2999)"
        assert isinstance(arrived.__cause__, RemoteTraceback)

    def test_a_text_without_end_is_cut(self) -> None:
        """What does not fit into one message must not cost the worker."""
        error = Holding()
        error.args = ("x" * 10 * MOST_TEXT,)
        for _ in range(1000):
            error.add_note("y" * 2 * MOST_TEXT)

        _, parts, size = pack_error(raised(error))

        assert size < 110 * MOST_TEXT
        assert sum(map(len, parts)) == size


def test_an_error_with_an_array(monkeypatch: pytest.MonkeyPatch) -> None:
    """It arrives as itself with its array, unless that is too large to be worth it."""
    error = raised(WithBuffer(b"abc" * 1000))

    arrived = over(error)
    monkeypatch.setattr(_packed_errors, "MOST_BYTES", 1000)
    told = over(error)

    assert type(arrived) is WithBuffer
    assert bytes(arrived.args[0]) == b"abc" * 1000
    assert type(told) is RemoteError
