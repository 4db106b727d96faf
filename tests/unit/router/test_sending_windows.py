"""What has changed in a window is found without looking at all of it, and is all that has changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.core.sending.windows import follow, renew

KEYS = st.sampled_from("abcdefgh")
DEEDS = st.lists(st.tuples(st.sampled_from(("renew", "drop", "drop_oldest", "cut")), KEYS), max_size=60)


class Entry:
    """One like no other."""


@given(DEEDS)
def test_cuts_put_together_are_the_window_in_its_order(deeds: list[tuple[str, str]]) -> None:
    window: dict[str, Entry] = {}
    known: dict[str, Entry] = {}
    rows: dict[str, tuple[int, Entry]] = {}
    number = 0
    for deed, key in [*deeds, ("cut", "")]:
        if deed == "renew":
            renew(window, key, Entry())
        elif deed == "drop":
            window.pop(key, None)
        elif deed == "drop_oldest" and window:
            del window[next(iter(window))]
        elif deed == "cut":
            change = follow(known, window)
            for gone in change.gone:
                del rows[gone]
            for new, entry in change.new.items():
                number += 1
                rows[new] = number, entry
            by_number = sorted(rows.items(), key=lambda row: row[1][0])
            assert [(name, entry) for name, (_, entry) in by_number] == list(window.items()) == list(known.items())


def test_nothing_that_stayed_is_told_again() -> None:
    window = {key: Entry() for key in "abc"}
    known = dict(window)
    assert follow(known, window) == ({}, [])
    renew(window, "a", Entry())
    assert follow(known, window) == ({"a": window["a"]}, [])
    del window["c"]
    assert follow(known, window) == ({}, ["c"])
