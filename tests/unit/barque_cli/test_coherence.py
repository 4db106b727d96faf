"""`barque config check` says what cannot work although every section is right by itself; a row is one change of a sound file."""

from __future__ import annotations

from pathlib import Path

import pytest

from barque.errors import ConfigError
from barque_cli import checks
from barque_cli.checks import effective

SOUND = """
[feed_replay.market]
symbols = { EURUSD = 1.1 }

[[instruments]]
symbol = "EURUSD"
currency = "USD"
base_currency = "EUR"
tick_size = "0.00001"

[[instruments]]
symbol = "USDEUR"
currency = "EUR"
base_currency = "USD"
tick_size = "0.00001"
inverts = "EURUSD"

[[barbuilder.bars]]
symbols = ["EURUSD"]
interval = "1m"
prices = ["bid", "mid"]

[[strategies]]
id = "sma"
strategy = "sma_cross"
symbols = ["EURUSD"]
interval = "1m"
params = { fast = 3, slow = 8, quantity = "1", price = "mid" }

[paper]
account = "paper"

[router]
account = "paper"

[gateway]
token_file = "token"

[[portfolio.accounts]]
name = "paper"
currency = "USD"
starting_cash = "1"
"""
AT_A_BROKER = """
[sender]
venue = "mt5"
account = "5001"
[mt5]
login = 5001
"""
ACCOUNT = '[[portfolio.accounts]]\nname = "5001"\ncurrency = "USD"\nstarting_cash = "1"\n'


def check(folder: Path, text: str, token: str = "t" * 32) -> None:
    (folder / "token").write_text(token)
    (folder / "barque.toml").write_text(text)
    effective(folder / "barque.toml", {})


def test_the_sound_file_is_taken(tmp_path: Path) -> None:
    check(tmp_path, SOUND)
    check(tmp_path, SOUND.replace('account = "paper"', 'account = "5001"') + AT_A_BROKER + ACCOUNT)


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        (
            'interval = "1m"\nparams',
            'interval = "3m"\nparams',
            "key 'strategies.sma.interval': nothing makes EURUSD 3m mid bars; add [[barbuilder.bars]] with "
            'symbols = ["EURUSD"], interval = "3m", prices = ["mid"]',
        ),
        ('price = "mid"', 'price = "ask"', "nothing makes EURUSD 1m ask bars (there are bid and mid); add [[barbuilder.bars]]"),
        ('price = "mid"', 'price = "last"', "nothing makes EURUSD 1m last bars"),
        (
            'interval = "1m"\nparams',
            'interval = "1m"\nintervals = ["1h"]\nparams',
            "sma.intervals': nothing makes EURUSD 1h bars",
        ),
        ('"EURUSD"]\ninterval = "1m"\nparams', '"USDEUR"]\ninterval = "1m"\nparams', "nothing makes USDEUR 1m mid bars"),
        ("{ EURUSD = 1.1 }", "{ USDEUR = 1.1 }", "no feed brings EURUSD; add it to feed_replay.market.symbols"),
        (
            "{ EURUSD = 1.1 }",
            "{ EURUSD = 1.1, GBPUSD = 1.3 }",
            "'feed_replay.market.symbols': symbol 'GBPUSD' has no [[instruments]]",
        ),
        ("{ EURUSD = 1.1 }", "{}", "'feed_replay.market.symbols': [feed_replay] listens to nothing"),
        ("symbols = { EURUSD = 1.1 }", "ticks_per_s = 0\nsymbols = { EURUSD = 1.1 }", "ticks_per_s is 0; it must be a positive"),
        ("[feed_replay.market]", '[feed_replay]\nsource = "files"\n[feed_replay.market]', 'source = "files" without a file'),
        ("[feed_replay.market]", '[feed_mt5]\nsymbols = ["GBPUSD"]\n[feed_replay.market]', "'feed_mt5.symbols': symbol 'GBPUSD'"),
        ("[feed_replay.market]", '[feed_ibkr]\nsymbols = ["EURUSE"]\n[feed_replay.market]', "did you mean 'EURUSD'? add one"),
        ('[paper]\naccount = "paper"', '[paper]\naccount = "other"', "orders go to 'paper', and [paper] trades 'other'"),
        (
            "[gateway]",
            "[router.breakers.drawdown]\nfraction = '5'\n[gateway]",
            "fraction is 5; it is part of the equity, at most 1",
        ),
        ("[gateway]", "[router.breakers.daily_loss]\nfraction = '1.1'\n[gateway]", "fraction is 1.1; it is part of the equity"),
        ('"token"', '"none"', "cannot read"),
        (
            "[gateway]",
            AT_A_BROKER + ACCOUNT + "[gateway]",
            "orders go to 'paper', and [sender] trades '5001'; set account = \"5001\"",
        ),
        (
            "[gateway]",
            "[portfolio]\nequity_interval_s = 300\n[gateway]",
            "valued every 300 s, nothing is opened on a valuation",
        ),
        ('[router]\naccount = "paper"', '[router]\naccount = "paper"\nmax_equity_age_s = 60', "older than 60 s; set it to"),
        (
            'name = "paper"',
            'name = "papre"',
            "'paper' of [router] has no entry, so its equity is never known and nothing is opened",
        ),
        ("[gateway]", AT_A_BROKER + "[gateway]", "'portfolio.accounts': '5001' of [sender] has no entry"),
    ],
)
def test_what_would_be_silent_is_said_with_its_key_and_what_to_do(tmp_path: Path, was: str, becomes: str, told: str) -> None:
    assert was in SOUND
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, SOUND.replace(was, becomes, 1))
    assert told in str(caught.value)


def test_a_token_that_is_too_short_or_empty_is_said(tmp_path: Path) -> None:
    for token in ("short", ""):
        with pytest.raises(ConfigError, match=r"key .gateway\.token_file.*openssl rand -hex 32"):
            check(tmp_path, SOUND, token)


def test_all_faults_are_said_at_once_each_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, SOUND.replace("{ EURUSD = 1.1 }", "{ GBPUSD = 1.3 }"), "short")
    assert [line.split("'")[1] for line in str(caught.value).splitlines()] == [
        "gateway.token_file",
        "feed_replay.market.symbols",
        "strategies.sma.symbols",
    ]


def test_bars_that_a_feed_brings_need_no_bar_builder_and_come_inverted_too(tmp_path: Path) -> None:
    begin = SOUND.index("[[barbuilder.bars]]")
    text = SOUND[:begin] + SOUND[SOUND.index("[[strategies]]") :]
    fed = '[[feed_ibkr.streams]]\nsymbol = "EURUSD"\nkind = "bars"\nhow = "keep_up_to_date"\ninterval = "1m"\nprice = "bid"\n'
    check(tmp_path, fed + text.replace('price = "mid"', 'price = "bid"'))
    check(tmp_path, fed + text.replace('price = "mid"', 'price = "ask"').replace('"EURUSD"]\ninterval', '"USDEUR"]\ninterval'))
    with pytest.raises(ConfigError, match=r"nothing makes EURUSD 1m ask bars \(there are bid\)"):
        check(tmp_path, fed + text.replace('price = "mid"', 'price = "ask"'))


def test_a_book_for_backtests_alone_has_no_feed_and_may_hear_any_bars(tmp_path: Path) -> None:
    check(
        tmp_path, SOUND.replace("[feed_replay.market]\nsymbols = { EURUSD = 1.1 }", "").replace('price = "mid"', 'price = "ask"')
    )


async def test_the_doctor_says_that_a_book_without_a_token_cannot_lift_a_halt(tmp_path: Path) -> None:
    dead = '[redis]\nurl = "redis://127.0.0.1:1/0"\n[postgres]\nurl = "postgresql://barque@127.0.0.1:1/barque"\n'
    (tmp_path / "token").write_text("t" * 32)
    (tmp_path / "barque.toml").write_text(dead + SOUND)
    found = {finding.name: finding for finding in await checks.run(tmp_path / "barque.toml")}
    assert found["gateway token"].ok
    (tmp_path / "barque.toml").write_text(dead + SOUND.replace('token_file = "token"', ""))
    found = {finding.name: finding for finding in await checks.run(tmp_path / "barque.toml")}
    assert not found["gateway token"].ok
    assert found["gateway token"].text.startswith("a halt could not be lifted")
