"""Whoever copies the configuration of a guide has one that `barque config check` takes, once its secrets are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from barque_cli.checks import effective
from barque_cli.demo_run import TEMPLATE
from simulators.mt5.dealing import Account

GUIDES = Path(__file__).resolve().parents[3] / "docs" / "guides"


def blocks(guide: str) -> list[str]:
    return re.findall(r"```toml\n(.*?)```", (GUIDES / f"{guide}.md").read_text(encoding="utf-8"), re.DOTALL)


def checked(folder: Path, text: str) -> dict[str, Any]:
    (folder / "secrets").mkdir()
    for name in ("token", "mt5"):
        (folder / "secrets" / name).write_text("s" * 32, encoding="utf-8")
    (folder / "barque.toml").write_text(text, encoding="utf-8")
    return effective(folder / "barque.toml", {})


@pytest.mark.parametrize("guide", ["mt5", "ibkr"])
def test_the_configuration_of_a_brokers_guide_works_with_its_strategy(tmp_path: Path, guide: str) -> None:
    whole, strategy, *_ = blocks(guide)
    found = checked(tmp_path, whole + strategy)
    assert [each["id"] for each in found["strategies"]] == ["sma-eurusd"]
    assert found["gateway"]["token_file"], "a halt could not be lifted"


def test_the_mt5_guide_logs_in_at_the_simulator(tmp_path: Path) -> None:
    account = Account()
    found = checked(tmp_path, blocks("mt5")[0])
    assert (found["mt5"]["login"], found["mt5"]["server"]) == (account.login, account.server)
    assert f"printf '%s' '{account.password}' > secrets/mt5" in (GUIDES / "mt5.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("guide", ["backtest", "replay-recorded-data"])
def test_the_configuration_of_a_guide_over_recorded_data_works(tmp_path: Path, guide: str) -> None:
    assert checked(tmp_path, blocks(guide)[0])["strategies"]


def test_the_demos_configuration_works_with_the_gateway_of_the_first_guide(tmp_path: Path) -> None:
    template = TEMPLATE.read_text(encoding="utf-8")
    head, gateway, _ = template.partition("[gateway]")
    assert gateway
    assert checked(tmp_path, head + blocks("getting-started")[0])["gateway"]["title"] == "My book"
