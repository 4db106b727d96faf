"""`barque doctor mt5` against the simulated terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from barque.config import CommonConfig
from barque_cli import doctor_mt5
from simulators.mt5 import Mt5Simulator
from simulators.mt5.walk import Walk
from tests.support.command import barque
from tests.support.mt5 import an_instrument

INSTRUMENTS = """
[[instruments]]
symbol = "EURUSD"
currency = "USD"
tick_size = "0.00001"
quantity_step = "0.01"
"""


def findings(folder: Path, **keys: Any) -> tuple[int, dict[str, tuple[bool, str]]]:
    """Exit code, and what was found by name."""
    path = folder / "barque.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in keys.items()]
    path.write_text("\n".join(["[mt5]", *lines, INSTRUMENTS]))
    done = barque("doctor", "mt5", "--config", path, "--json")
    assert done.stdout, done.stderr
    return done.returncode, {each["name"]: (each["ok"], each["text"]) for each in json.loads(done.stdout)}


def test_everything_that_has_to_be_right_is_shown_in_its_order(tmp_path: Path) -> None:
    with Mt5Simulator(["EURUSD"]) as sim:
        walk = Walk(sim, ticks_per_s=20)
        walk.start()
        code, found = findings(tmp_path, port=sim.port)
        walk.stop()
        assert code == 0 and all(ok for ok, _ in found.values())
        assert list(found) == ["configuration", "bridge", "terminal", "account", "trading", "EURUSD", "clock"]
        assert "5001" in found["account"][1] and "demo" in found["account"][1] and "UTC+" in found["clock"][1]
        assert not sim.book.received


@pytest.mark.parametrize(
    ("simulated", "keys", "name", "words"),
    [
        ({"live": True}, {}, "account", "REAL"),
        ({}, {"login": 1, "server": "X"}, "account", "logged in to 5001"),
        ({}, {"suffix": ".x"}, "EURUSD", "EURUSD.x"),
        ({}, {"port": 1}, "bridge", "cannot be reached"),
        ({}, {"server_zone": "Mars"}, "configuration", "server_zone"),
    ],
)
async def test_what_is_wrong_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, simulated: dict[str, Any], keys: dict[str, Any], name: str, words: str
) -> None:
    monkeypatch.setattr(doctor_mt5, "CLOCK_WAIT_S", 0.0)
    with Mt5Simulator(["EURUSD"], **simulated) as sim:
        raw = {"mt5": {"port": sim.port} | keys}
        found = await doctor_mt5.probe(raw, CommonConfig(instruments=(an_instrument(),)))
        (wrong,) = [each for each in found if not each.ok]
        assert wrong.name == name and words in wrong.text
        assert not sim.book.received


def test_a_broker_that_there_is_not_is_named_with_the_nearest(tmp_path: Path) -> None:
    done = barque("doctor", "mt4", "--config", tmp_path / "none.toml")
    assert done.returncode == 2 and "mt5" in done.stderr
