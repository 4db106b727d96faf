"""An older system's contracts as `[[instruments]]`: what each key becomes, and errors that name the key."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from barque.config import load_common, read_file
from barque.errors import ConfigError
from barque.instruments import Instrument
from barque_cli import contracts
from barque_cli.main import app

OLD = {
    "USDJPY": {"lot": 100000, "pip": 0.01, "currency": "JPY"},
    "EURUSD": {"contract_size": 100000, "tick_size": "0.00001"},
    "ESZ3": {
        "contract_size": 50,
        "tick_size": 0.25,
        "currency": "USD",
        "type": "FUTURE",
        "exchange": "CME",
        "calendar": "GLOBEX",
    },
}


def written(folder: Path, content: Any) -> Path:
    path = folder / "contracts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_each_contract_becomes_an_instrument(tmp_path: Path) -> None:
    found = contracts.read(written(tmp_path, OLD))
    assert found.instruments == [
        Instrument(
            symbol="USDJPY", currency="JPY", base_currency="USD", tick_size=Decimal("0.01"), contract_size=Decimal(100_000)
        ),
        Instrument(
            symbol="EURUSD", currency="USD", base_currency="EUR", tick_size=Decimal("0.00001"), contract_size=Decimal(100_000)
        ),
        Instrument(
            symbol="ESZ3",
            asset_class="future",
            currency="USD",
            tick_size=Decimal("0.25"),
            contract_size=Decimal(50),
            exchange="CME",
            calendar="GLOBEX",
        ),
    ]
    (note,) = found.notes
    assert note.startswith("USDJPY: a pip of 0.01 is taken as the tick")
    assert note.endswith('set tick_size = "0.001"')


def test_a_configuration_takes_them_in_and_keeps_what_it_has(tmp_path: Path) -> None:
    config = tmp_path / "barque.toml"
    config.write_text('[book]\nname = "b"\n\n[[instruments]]\nsymbol = "EURUSD"\ncurrency = "USD"\ntick_size = "0.0001"\n')
    path = written(tmp_path, OLD)
    result = CliRunner().invoke(app, ["config", "import-contracts", str(path), "--into", str(config)])
    assert result.exit_code == 0, result.output
    assert "2 added, 1 there already" in result.output
    instruments = {each.symbol: each for each in load_common(read_file(config, {})).instruments}
    assert instruments["EURUSD"].tick_size == Decimal("0.0001")
    assert [instruments[each.symbol] for each in contracts.read(path).instruments if each.symbol != "EURUSD"] == [
        instruments["USDJPY"],
        instruments["ESZ3"],
    ]
    assert contracts.append(config, contracts.read(path).instruments, os.environ) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"USDJPY": {"lots": 1, "pip": 0.01}}, "unknown key 'USDJPY.lots'; did you mean 'lot'"),
        ({"USDJPY": {"lot": 100000}}, "key 'USDJPY.tick_size' is missing; give 'pip' or"),
        ({"USDJPY": {"lot": "many", "pip": 0.01}}, "key 'USDJPY.lot': a positive number is needed, not \"many\""),
        ({"USDJPY": {"lot": 0, "pip": 0.01}}, "key 'USDJPY.lot': a positive number is needed, not"),
        ({"USDJPY": {"lot": True, "pip": 0.01}}, "key 'USDJPY.lot': a positive number is needed, not true"),
        ({"USDJPY": {"pip": 0.01, "tick_size": 0.001}}, "keys 'USDJPY.pip' and 'USDJPY.tick_size' are both the tick_size"),
        ({"USDJPY": {"pip": 0.01, "currency": "USD"}}, "key 'USDJPY.currency': USDJPY is USD/JPY, not USD/USD"),
        ({"GOLD": {"pip": 0.01, "type": "cfd"}}, "key 'GOLD.currency' is missing"),
        ({"GOLD": {"pip": 0.01, "currency": "USD"}}, "key 'GOLD.asset_class' is missing"),
        ({"GOLD": {"pip": 0.01, "currency": "USD", "type": "metal"}}, "key 'GOLD.type': 'metal' is no kind of instrument"),
        ({"GOLD": 5}, "key 'GOLD': an object is needed"),
        ({}, "an object of symbols is needed"),
        ([], "an object of symbols is needed"),
        ('{"USDJPY": {"pip": 0.01},\n "USDJPY": {}}', "'USDJPY' is there twice"),
        ('{"USDJPY": {"pip": NaN}}', "key 'USDJPY.pip': a positive number is needed, not NaN"),
        ('{"USDJPY": ', "is not JSON: line 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        contracts.read(written(tmp_path, content))
    assert said in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        contracts.read(tmp_path / "nothing.json")
