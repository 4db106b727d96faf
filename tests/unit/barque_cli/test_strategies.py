"""`barque strategies`: what is installed, for people and for programs."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from io import StringIO

import pytest
from rich.console import Console

from barque.errors import ConfigError
from barque_cli import strategies
from tests.support.command import barque, parsed


def shown(*names: str) -> str:
    output = StringIO()
    strategies.show(Console(file=output, width=200), strategies.describe(names))
    return output.getvalue()


def test_the_installed_strategies_are_listed_with_their_parameters() -> None:
    found = {each.name: each for each in strategies.describe(())}
    assert {"gotobi", "sma_cross"} <= set(found)
    assert list(found) == sorted(found)
    fast = found["sma_cross"].params[0]
    assert (fast.name, fast.default, fast.type) == ("fast", "10", "integer, at least 1")
    assert found["sma_cross"].summary == "One position per symbol, in the direction of the faster average."


def test_a_person_sees_name_default_and_meaning() -> None:
    text = shown("sma_cross")
    assert text.startswith("sma_cross  One position per symbol")
    line = next(line.strip() for line in text.splitlines() if line.strip().startswith("fast "))
    assert line.split(maxsplit=2)[1:] == ["10", "Bars of the faster average. (integer, at least 1)"]


def test_a_class_that_is_not_installed_is_named_by_its_module() -> None:
    (found,) = strategies.describe(("tests.support.strategies:Stuck",))
    assert [param.name for param in found.params] == ["bars"]


def test_a_name_that_means_nothing_is_an_error_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'sma_cros' is not installed; did you mean 'sma_cross'"):
        strategies.describe(("sma_cros",))


def test_a_package_that_cannot_be_loaded_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", "no_such_module:Thing", "barque.strategies")
    whole = EntryPoint("sma_cross", "sma_cross:SmaCross", "barque.strategies")
    for module in ("barque_cli.strategies", "strategy_host.core.loading"):
        monkeypatch.setattr(f"{module}.entry_points", lambda group: [whole, broken])
    found = strategies.describe(())
    assert [(each.name, bool(each.params)) for each in found] == [("broken", False), ("sma_cross", True)]
    assert "module 'no_such_module' cannot be imported" in found[0].fault


def test_without_any_strategy_it_says_how_one_comes_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barque_cli.strategies.entry_points", lambda group: [])
    assert "no strategy is installed" in shown()


def test_programs_get_json() -> None:
    answer = barque("strategies", "--json", "gotobi")
    assert answer.returncode == 0, answer.stderr
    (found,) = parsed(answer)
    assert found["name"] == "gotobi"
    assert {"name": "quantity", "type": "decimal", "default": "1", "meaning": "Contracts; negative: short."} in found["params"]
