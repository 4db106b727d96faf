"""Limits, noise, scripts: what decides without a socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.market.chance import seeded
from simulators.tws.checks import instant
from simulators.tws.limits import HistoryPacing, Limits, MessageRate
from simulators.tws.noise import Noise, disturbed, pieces
from simulators.tws.replies import Message
from simulators.tws.requests import WithId
from simulators.tws.scripting import Script
from simulators.tws.transcript import Entry, Transcript

NS = 10**9


def test_fifty_messages_in_any_second_are_taken_and_the_third_second_with_more_ends_it() -> None:
    rate, heard = MessageRate(Limits()), []
    for second in range(5):
        heard += [rate.take(second * 2 * NS + n * 10**6) for n in range(51)]
    assert heard[:50] == ["ok"] * 50 and heard[50] == "over"
    assert [word for word in heard if word != "ok"] == ["over", "over", "close", "close", "close"]


def test_messages_that_keep_the_pace_are_never_counted_together() -> None:
    rate = MessageRate(Limits())
    assert {rate.take(n * NS // 49) for n in range(1_000)} == {"ok"}


def test_identical_requests_for_history_wait_fifteen_seconds() -> None:
    pacing = HistoryPacing(Limits())
    assert pacing.take("a", "SPY", 1, 0) is None
    again = pacing.take("a", "SPY", 1, 14 * NS)
    assert again is not None and again.code == 162
    assert pacing.take("a", "SPY", 1, 15 * NS) is None


def test_six_for_one_contract_in_two_seconds_are_too_many() -> None:
    pacing = HistoryPacing(Limits())
    taken = [pacing.take(n, "SPY", 1, n * 10**8) is None for n in range(6)]
    assert taken == [True] * 5 + [False]
    assert pacing.take(6, "QQQ", 1, 6 * 10**8) is None
    assert pacing.take(7, "SPY", 1, 3 * NS) is None


@pytest.mark.parametrize(("weight", "most"), [(1, 60), (2, 30)])
def test_sixty_in_ten_minutes_and_both_sides_count_twice(weight: int, most: int) -> None:
    pacing = HistoryPacing(Limits())
    taken = [pacing.take(n, n, weight, n * NS) is None for n in range(most + 1)]
    assert taken == [True] * most + [False]
    assert pacing.take("later", "later", weight, 600 * NS) is None


STATUS, OPEN, EXECUTION, COMMISSION = (3, "s"), (5, "o"), (11, "e"), (59, "c")
TURN: list[Message] = [OPEN, STATUS, EXECUTION, OPEN, STATUS, OPEN, COMMISSION]


@given(st.integers(0, 1_000))
def test_noise_repeats_and_reorders_and_loses_nothing(seed: int) -> None:
    noise = Noise.all()
    said = disturbed(TURN, noise, seeded(seed))
    assert set(said) == set(TURN)
    assert said.count(EXECUTION) == said.count(COMMISSION) == 1
    assert said.count(STATUS) == 2 * TURN.count(STATUS)
    assert said.index(EXECUTION) < said.index(COMMISSION)
    assert said == disturbed(TURN, noise, seeded(seed))


def test_without_noise_nothing_is_changed() -> None:
    assert disturbed(TURN, Noise(), seeded(1)) == TURN


def test_each_disorder_occurs() -> None:
    seen = {tuple(disturbed(TURN, Noise(status_before_execution=True), seeded(seed))) for seed in range(20)}
    seen |= {tuple(disturbed(TURN, Noise(execution_before_open_order=True), seeded(seed))) for seed in range(20)}
    assert (EXECUTION, OPEN, STATUS, OPEN, STATUS, OPEN, COMMISSION) in seen
    assert (OPEN, STATUS, STATUS, EXECUTION, OPEN, OPEN, COMMISSION) in seen


def test_statuses_can_be_left_out() -> None:
    assert STATUS not in disturbed(TURN, Noise(skip_status=True), seeded(1))


@given(st.binary(max_size=2_000), st.sampled_from(["whole", "random", "bytes"]), st.integers(0, 9))
def test_pieces_are_the_whole(data: bytes, how: str, seed: int) -> None:
    cut = pieces(data, how, seeded(seed))
    assert b"".join(cut) == data
    assert how != "bytes" or all(len(piece) == 1 for piece in cut)


def a_script() -> Script:
    return Script(lambda seconds, act: None)


def test_a_rule_is_for_the_nth_request_from_the_moment_it_is_made() -> None:
    script = a_script()
    script.on("placeOrder", n=2).silence()
    steps = [script.step("placeOrder", 7) for _ in range(4)]
    assert [step is not None for step in steps] == [False, True, False, False]
    script.on("placeOrder", n=1).close()
    step = script.step("placeOrder", 7)
    assert step is not None and step.kind == "close"


def test_a_rule_without_a_number_is_for_all_of_its_client() -> None:
    script = a_script()
    rule = script.on("reqPositions", client_id=7).silence()
    assert [script.step("reqPositions", client) is not None for client in (7, 8, 7)] == [True, False, True]
    assert rule.used == 2
    script.clear()
    assert script.step("reqPositions", 7) is None


def test_a_rule_can_look_at_the_request_and_counts_those_it_is_for() -> None:
    script = a_script()
    script.on("cancelMktData", n=2, where=lambda request: request.req_id == 5).silence()
    steps = [script.step("cancelMktData", 7, WithId(number)) for number in (5, 4, 5, 5)]
    assert [step is not None for step in steps] == [False, False, True, False]


def test_the_first_rule_decides_and_the_others_count_on() -> None:
    script = a_script()
    script.on("reqPositions", n=1).silence()
    script.on("reqPositions", n=2).close()
    steps = [script.step("reqPositions", 1) for _ in range(2)]
    assert [step.kind for step in steps if step is not None] == ["silence", "close"]


def test_something_can_be_done_whenever_a_rule_applies() -> None:
    script, done = a_script(), []
    script.on("reqCurrentTime").silence().then(lambda: done.append(1))
    script.step("reqCurrentTime", 1)
    assert done == [1]
    with pytest.raises(ValueError, match="first say"):
        script.on("reqCurrentTime").then(lambda: None)


def test_a_request_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="plcaeOrder is no request"):
        a_script().on("plcaeOrder")


@pytest.mark.parametrize(
    ("text", "epoch_s"),
    [
        ("20261201 11:00:00 US/Eastern", 1_796_140_800),
        ("20261201-16:00:00", 1_796_140_800),
        ("20261201 16:00:00 UTC", 1_796_140_800),
        ("20261201 11:00:00", 1_796_140_800),
        ("soon", None),
        ("20261301 11:00:00", None),
        ("20261201 11:00:00 Nowhere/Land", None),
    ],
)
def test_times_in_requests_are_read_in_the_forms_of_tws(text: str, epoch_s: int | None) -> None:
    assert instant(text) == (None if epoch_s is None else epoch_s * NS)


def test_the_transcript_is_bounded_and_decoded() -> None:
    transcript = Transcript(size=3)
    for number in range(5):
        transcript.add(Entry(number * NS, 7, "in", ("49", "1")))
    transcript.add(Entry(5 * NS, 7, "out", (49, 1, 5)))
    assert [entry.name for entry in transcript] == ["reqCurrentTime", "reqCurrentTime", "currentTime"]
    assert str(transcript.named("currentTime")[0]) == "5.000 client 7 out currentTime 1 5"
    assert len(transcript.named("currentTime", "in")) == 0
