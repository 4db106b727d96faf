"""From names to classes and nodes."""

from __future__ import annotations

from typing import Any

import pytest

from barque.config import CommonConfig, StrategyConfig
from barque.errors import ConfigError
from gotobi import Gotobi
from sma_cross import SmaCross
from strategy_host.config import enabled_strategies
from strategy_host.core.loading import load_strategy, node_factories
from tests.support.builders import eurusd, usdjpy


def an_entry(**changes: Any) -> StrategyConfig:
    base: dict[str, Any] = {"id": "sma-eurusd", "strategy": "sma_cross", "symbols": ("EURUSD",)}
    return StrategyConfig(**(base | changes))


GOTOBI = an_entry(id="gotobi-usdjpy", strategy="gotobi", symbols=("USDJPY",))


def test_a_strategy_is_found_by_entry_point_and_by_module_and_class() -> None:
    assert load_strategy("sma_cross") is SmaCross
    assert load_strategy("gotobi") is Gotobi
    assert load_strategy("gotobi.strategy:Gotobi") is Gotobi


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sma_croos", "strategy 'sma_croos' is not installed; did you mean 'sma_cross'"),
        ("sma_cross:SmaCros", "'SmaCros' of module sma_cross does not exist; did you mean 'SmaCross'"),
        ("gotobi.dates:SATURDAY", "'SATURDAY' of module gotobi.dates is no Strategy; the module has none"),
        ("no_such_module:Thing", "module 'no_such_module' cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_name_that_means_nothing_is_refused_with_the_nearest(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        load_strategy(name)


def test_a_book_has_one_node_per_enabled_strategy() -> None:
    config = CommonConfig(instruments=(eurusd(), usdjpy()), strategies=(an_entry(), an_entry(id="off", enabled=False), GOTOBI))
    expected = ("strategy.gotobi-usdjpy", "strategy.sma-eurusd")
    factories = node_factories(config)
    assert tuple(factories) == expected
    assert tuple(make().name for make in factories.values()) == expected


@pytest.mark.parametrize(("ids", "text"), [(("a", "a"), "'a' is given 2 times"), (("a/b",), "has a '/'"), (("",), "is empty")])
def test_ids_that_cannot_tell_strategies_apart_are_refused(ids: tuple[str, ...], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        enabled_strategies(CommonConfig(strategies=tuple(an_entry(id=each) for each in ids)))


def test_wrong_parameters_are_refused_before_anything_runs() -> None:
    config = CommonConfig(instruments=(eurusd(),), strategies=(an_entry(params={"fats": 5}),))
    with pytest.raises(ConfigError, match=r"unknown key 'strategies.sma-eurusd.params.fats'; did you mean 'fast'"):
        node_factories(config)
