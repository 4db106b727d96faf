"""A viewer who follows a tape ends with what the tape holds, whatever it missed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from gateway.tape import Curve, Place, Tape


def test_a_new_viewer_gets_everything_and_then_only_what_is_new() -> None:
    tape: Tape[int] = Tape(10)
    tape.extend([1, 2])
    assert tape.since(None) == ([1, 2], True)
    seen = tape.place
    assert tape.since(seen) == ([], False)
    tape.extend([3])
    assert tape.since(seen) == ([3], False)


def test_a_viewer_who_missed_more_than_is_held_starts_over() -> None:
    tape: Tape[int] = Tape(3)
    tape.extend([1])
    seen = tape.place
    tape.extend([2, 3, 4, 5])
    assert tape.since(seen) == ([3, 4, 5], True)


def test_a_curve_keeps_its_ends() -> None:
    curve: Curve[int] = Curve(4)
    curve.extend(range(1, 100))
    assert len(curve.items) <= 4
    assert (curve.items[0], curve.items[-1]) == (1, 99)


@given(some.lists(some.tuples(some.booleans(), some.lists(some.integers(), max_size=7))), some.sampled_from([Tape, Curve]))
def test_following_equals_holding(steps: list[tuple[bool, list[int]]], kind: type[Tape[int]]) -> None:
    tape = kind(5)
    place: Place | None = None
    shown: list[int] = []
    for looks, items in [*steps, (True, [])]:
        tape.extend(items)
        if looks:
            new, reset = tape.since(place)
            shown = (([] if reset else shown) + new)[-5:]
            place = tape.place
            assert shown == tape.items
    assert len(tape.items) <= 5
