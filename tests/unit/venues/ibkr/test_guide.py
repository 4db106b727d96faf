"""The configuration in docs/guides/ibkr.md is one that every part takes, and the codes its runbooks name are in the table."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from barque.config import load_common, load_section
from barque.errors import ConfigError
from barque_cli.checks import effective
from feed_ibkr.config import FeedIbkrConfig
from router.config import RouterConfig
from router.core.sending.config import SendingConfig
from venues.ibkr.adapter import open_venue
from venues.ibkr.codes import CODES
from venues.ibkr.config import IbkrConfig

ROOT = Path(__file__).resolve().parents[4]
GUIDE = (ROOT / "docs" / "guides" / "ibkr.md").read_text(encoding="utf-8")


def guide_config() -> dict[str, Any]:
    return tomllib.loads(GUIDE.partition("```toml\n")[2].partition("```")[0])


def test_the_guides_configuration_is_taken_by_feed_sender_and_router() -> None:
    raw = guide_config()
    common = load_common(raw)
    sender = load_section(raw, "sender", SendingConfig)
    venue = open_venue(raw, common.instruments, sender.account)
    assert venue.name == sender.venue
    assert sender.quiet_s >= venue.capabilities.books_lag_s
    assert load_section(raw, "router", RouterConfig).account == sender.account
    feed = load_section(raw, "feed_ibkr", FeedIbkrConfig)
    assert set(feed.symbols) == {each.symbol for each in common.instruments}
    assert f"sender.{sender.venue}" in common.book.nodes


def test_config_check_takes_the_guides_configuration_and_names_what_is_wrong_in_it(tmp_path: Path) -> None:
    text = GUIDE.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("t" * 32, encoding="utf-8")
    (tmp_path / "barque.toml").write_text(text, encoding="utf-8")
    found = effective(tmp_path / "barque.toml", {})
    assert (found["ibkr"]["port"], found["sender"]["venue"]) == (4002, "ibkr")
    (tmp_path / "wrong.toml").write_text(text.replace('exchange = "CME"', ""), encoding="utf-8")
    with pytest.raises(ConfigError, match="a FUT needs its exchange"):
        effective(tmp_path / "wrong.toml", {})


def test_the_guide_names_the_order_types_and_times_that_the_adapter_has() -> None:
    raw = guide_config()
    can = open_venue(raw, load_common(raw).instruments, "DU1234567").capabilities
    named = {word.replace(" ", "_") for word in re.search(r"\| (market, .*?) \|", GUIDE)[1].split(", ")}  # type: ignore[index]
    assert named == set(can.order_types)
    assert set(re.search(r"\| (day, .*?) \|", GUIDE)[1].split(", ")) == set(can.times_in_force)  # type: ignore[index]


def test_codes_that_the_guide_and_the_runbooks_speak_of_are_in_the_table() -> None:
    pages = [GUIDE, *(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "runbooks").glob("ibkr_*.md"))]
    named = {int(word) for page in pages for word in re.findall(r"[`(, ](1\d\d|20\d|3\d\d|1\d{3}|2\d{3}|10\d{3})[`),]", page)}
    assert {1100, 2110, 10197, 354} <= named
    assert {code for code in named if code not in CODES} <= {178}  # a version of the protocol


def test_the_image_of_the_gateway_is_pinned_and_paper_by_default() -> None:
    compose = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    assert re.search(r"image: ghcr\.io/gnzsnz/ib-gateway:\d+\.\d+\.\d+\w", compose)
    assert "${IBKR_TRADING_MODE:-paper}" in compose
    assert IbkrConfig().live is False
    ports = re.findall(r'"([\d.]+):400[12]:\d+"', compose)
    assert ports == ["127.0.0.1", "127.0.0.1"]
