"""What a person is told of a strategy's parameters."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import Annotated, Literal

import pytest
from msgspec import Meta, field

from barque.strategy import ParamDescription, Strategy, StrategyParams, describe_params
from gotobi import Gotobi
from slob import Slob
from sma_cross import SmaCross


class Everything(Strategy):
    class Params(StrategyParams, frozen=True):
        symbol: str
        length: Annotated[int, Meta(ge=1, le=500, description="Bars.")] = 20
        share: Annotated[float, Meta(gt=0, lt=1, description="Of equity.")] = 0.5
        size: Annotated[Decimal, Meta(description="Contracts.")] = Decimal("1.50")
        side: Literal["long", "short"] = "long"
        stop: Annotated[Decimal | None, Meta(description="Fraction.")] = None
        limit: Annotated[int, Meta(ge=0, description="Seconds.")] | None = None
        on: bool = True
        at: time = time(9, 30)
        days: tuple[int, ...] = (5, 10)
        skip: list[date] = field(default_factory=list)
        weights: Annotated[dict[str, float], Meta(description="By symbol.")] = field(default_factory=lambda: {"EURUSD": 0.5})


def test_each_parameter_is_told_with_type_bounds_default_and_meaning() -> None:
    assert [tuple(param) for param in describe_params(Everything)] == [
        ("symbol", "text", "", ""),
        ("length", "integer, at least 1, at most 500", "20", "Bars."),
        ("share", "number, more than 0, less than 1", "0.5", "Of equity."),
        ("size", "decimal", "1.50", "Contracts."),
        ("side", '"long" or "short"', '"long"', ""),
        ("stop", "decimal", "not set", "Fraction."),
        ("limit", "integer, at least 0", "not set", "Seconds."),
        ("on", "boolean", "true", ""),
        ("at", "time of day", '"09:30:00"', ""),
        ("days", "list of integer", "[5, 10]", ""),
        ("skip", "list of date", "[]", ""),
        ("weights", "table of number", "{ EURUSD = 0.5 }", "By symbol."),
    ]


def test_a_strategy_without_parameters_has_none() -> None:
    assert describe_params(Strategy) == ()


@pytest.mark.parametrize("shipped", [SmaCross, Gotobi, Slob])
def test_every_parameter_of_a_shipped_strategy_says_what_it_means(shipped: type[Strategy]) -> None:
    silent = [param.name for param in describe_params(shipped) if not param.meaning]
    assert silent == []
    assert all(isinstance(param, ParamDescription) and param.default for param in describe_params(shipped))
