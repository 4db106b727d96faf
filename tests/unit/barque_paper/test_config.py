"""What `[paper]` refuses: the message names the key."""

from __future__ import annotations

from typing import Any

import pytest

from barque.config import load_section
from barque.errors import ConfigError
from barque_paper import PaperConfig


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"latency_ms": -1}, "latency_ms must be a number that is not negative"),
        ({"slippage_fraction": "-0.1"}, "slippage_fraction must be a number"),
        ({"slippage_fraction": "1"}, "slippage_fraction must be below 1"),
        ({"commission_fraction": "NaN"}, "commission_fraction must be a number"),
        ({"commission_min": "-1"}, "commission_min must be a number"),
        ({"max_volume_fraction": "1.1"}, "max_volume_fraction must not be above 1"),
        ({"max_order_quantity": "0"}, "max_order_quantity must be positive"),
        ({"fill_at": "close", "latency_ms": 1}, "fill_at 'close' needs latency_ms 0"),
        ({"fill_at": "open"}, "fill_at"),
        ({"starting_cash": "1000"}, "starting_cash must be a number, and needs currency"),
        ({"starting_cash": "Infinity", "currency": "USD"}, "starting_cash must be a number"),
        ({"symbols": [{"symbol": "A"}, {"symbol": "A"}]}, "two [[paper.symbols]] are for A"),
        ({"symbols": [{"symbol": "A", "spread_ticks": -1}]}, "spread_ticks must be a number that is not negative"),
        ({"symbols": [{"symbol": "A", "slippage_ticks": -1}]}, "slippage_ticks must be a number"),
        ({"symbols": [{"symbol": "A", "commission_per_contract": "-1"}]}, "commission_per_contract must be a number"),
        ({"symbols": [{"symbol": "A", "volume_per_contract": "0"}]}, "volume_per_contract must be positive"),
        ({"symbols": [{"symbol": "A", "spread_tick": 1}]}, "spread_ticks"),
        ({"fill_in": "close"}, "fill_at"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_section({"paper": section}, "paper", PaperConfig)
    assert said in str(caught.value)
    assert "paper" in str(caught.value)


def test_what_makes_sense_is_taken() -> None:
    section = {
        "fill_at": "close",
        "slippage_fraction": "0",
        "max_volume_fraction": "1",
        "currency": "USD",
        "starting_cash": "100000",
        "symbols": [{"symbol": "ES", "commission_per_contract": "2.25", "slippage_ticks": 1}],
    }
    config = load_section({"paper": section}, "paper", PaperConfig)
    assert (config.fill_at, str(config.starting_cash), str(config.symbols[0].commission_per_contract)) == (
        "close",
        "100000",
        "2.25",
    )
