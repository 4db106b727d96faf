"""Who runs which strategy node: every worker computes it alike, from the same two lists."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from strategy_host.shell.worker import share

NAMES = st.lists(st.text("abcdef", min_size=1, max_size=3), unique=True, max_size=12)
WORKERS = st.lists(st.text("uvwxyz", min_size=1, max_size=3), unique=True, min_size=1, max_size=6)


@given(NAMES, WORKERS)
def test_every_node_belongs_to_exactly_one_worker(nodes: list[str], workers: list[str]) -> None:
    given_out = [node for worker in workers for node in share(nodes, workers, worker)]
    assert sorted(given_out) == sorted(nodes)


@given(NAMES, WORKERS)
def test_no_worker_has_two_nodes_more_than_another(nodes: list[str], workers: list[str]) -> None:
    sizes = [len(share(nodes, workers, worker)) for worker in workers]
    assert max(sizes) - min(sizes) <= 1


@given(NAMES, WORKERS, st.data())
def test_the_order_in_which_a_worker_hears_of_the_others_does_not_matter(
    nodes: list[str], workers: list[str], data: st.DataObject
) -> None:
    shuffled_nodes, shuffled_workers = data.draw(st.permutations(nodes)), data.draw(st.permutations(workers))
    for worker in workers:
        assert share(nodes, workers, worker) == share(shuffled_nodes, shuffled_workers, worker)


def test_a_worker_whose_lease_ran_out_has_nothing() -> None:
    assert share(["a", "b"], ["w2"], "w1") == set()
    assert share(["a", "b"], [], "w1") == set()


def test_a_worker_alone_has_everything() -> None:
    assert share(["b", "a"], ["w1"], "w1") == {"a", "b"}


def test_a_second_worker_takes_every_other_node() -> None:
    nodes = ["strategy.a", "strategy.b", "strategy.c", "strategy.d", "strategy.e"]
    assert share(nodes, ["w1", "w2"], "w1") == {"strategy.a", "strategy.c", "strategy.e"}
    assert share(nodes, ["w1", "w2"], "w2") == {"strategy.b", "strategy.d"}


def test_workers_beyond_the_number_of_nodes_wait() -> None:
    assert [share(["a"], ["w1", "w2", "w3"], worker) for worker in ("w1", "w2", "w3")] == [{"a"}, set(), set()]
