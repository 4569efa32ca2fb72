"""What a worker makes of calls that arrive twice, or together with the word that they must not begin."""

from __future__ import annotations

from polyloop._codec import CANCELLED, ERROR, VALUE, Bytes, Kind, encode
from polyloop._plain import PLAIN, split
from tests.process._line import RUNS, Line


def cancel(*numbers: int) -> list[Bytes]:
    """The word that tasks are to be cancelled."""
    return encode(Kind.CANCEL, [(number, 0, (), 0) for number in numbers])


def outcomes(line: Line, count: int) -> dict[int, int]:
    """What has come of so many calls, by their numbers, and not of one more."""
    kinds: dict[int, int] = {}
    while (frame := line.read()).kind is not Kind.LEFT:
        if frame.kind is not Kind.DONE:
            continue
        for number, tag, payload in zip(frame.numbers, frame.tags, frame.payloads, strict=True):
            numbers = split(payload)[0] if tag == VALUE | PLAIN else [number]
            assert not kinds.keys() & set(numbers), "settled twice"
            kinds.update(dict.fromkeys(numbers, tag & 0xF0))
        if len(kinds) == count:
            line.leave()
    assert len(kinds) == count
    return kinds


def test_calls_that_come_again_do_not_run_again() -> None:
    """A frame is sent once more, with others, when Ctrl-C has come in the middle of the sending."""
    with Line() as line:
        line.send(line.calls(1, 2, 3), line.calls(2, 3, 4, 5), line.calls(5), line.calls(1, 2))

        assert outcomes(line, 5) == dict.fromkeys(range(1, 6), VALUE)
    assert RUNS == [1, 2, 3, 4, 5]


def test_what_is_called_off_far_behind_the_call_does_not_begin() -> None:
    """Everything that has come is read before anything begins."""
    numbers = range(1, 2001)
    with Line() as line:
        line.send(line.calls(*numbers), cancel(700, 2000))

        kinds = outcomes(line, len(numbers))
    assert {number for number, kind in kinds.items() if kind == CANCELLED} == {700, 2000}
    assert [number for number in numbers if number not in {700, 2000}] == RUNS


def test_what_is_called_off_after_its_end_has_ended() -> None:
    """The word came too late, and is for nobody."""
    with Line() as line:
        line.send(line.calls(1))
        while line.read().kind is not Kind.DONE:
            pass
        line.send(cancel(1), line.calls(2))

        assert outcomes(line, 1) == {2: VALUE}
    assert RUNS == [1, 2]


def test_one_that_cannot_be_unpacked_fails_and_no_other() -> None:
    """Though it came in the midst of them."""
    with Line() as line:
        broken = encode(Kind.CALLS, [(2, 0, (b"\x02\x00\x00\x00no",), 6)])
        line.send(line.calls(1), broken, line.calls(3))

        assert outcomes(line, 3) == {1: VALUE, 2: ERROR, 3: VALUE}
    assert RUNS == [1, 3]
