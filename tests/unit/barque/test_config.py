"""One file, read once: what is wrong in it is told by its key, and what is secret in it is never told."""

from __future__ import annotations

from pathlib import Path

import pytest

from barque.config import CommonConfig, PostgresConfig, RedisConfig, load_common, load_section, masked, read_file
from barque.errors import ConfigError
from barque_paper import PaperConfig
from feed_replay.config import FeedReplayConfig
from tests.support.configs import EURUSD


def write(folder: Path, text: str) -> Path:
    path = folder / "barque.toml"
    path.write_text(text, encoding="utf-8")
    return path


def common(folder: Path, text: str, **environment: str) -> CommonConfig:
    return load_common(read_file(write(folder, text), environment))


def fault(folder: Path, text: str, **environment: str) -> str:
    """The one line a person reads."""
    with pytest.raises(ConfigError) as caught:
        common(folder, text, **environment)
    line = str(caught.value)
    assert "\n" not in line
    assert caught.value.exit_code == 2
    return line


# -- what is wrong, by name ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        ("[book]\nclok = 'feed'", "book.clok", "clock"),
        ("[redis]\nurll = 'redis://localhost'", "redis.urll", "url"),
        ("[postgres]\npasword_file = 'p'", "postgres.pasword_file", "password_file"),
        ("[[instruments]]\nsymbol = 'X'\ncurrency = 'USD'\ntick_sise = '1'", "tick_sise", "tick_size"),
        ("[[strategies]]\nid = 'a'\nstrategy = 's'\nsymbols = []\nintervall = '1m'", "intervall", "interval"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_valid_one(tmp_path: Path, text: str, key: str, meant: str) -> None:
    line = fault(tmp_path, text)
    assert key in line
    assert f"did you mean '{meant}'?" in line


def test_an_unknown_section_is_named_with_the_nearest_valid_one(tmp_path: Path) -> None:
    assert "unknown section 'barbilder'; did you mean 'barbuilder'?" in fault(tmp_path, "[barbilder]\n")


def test_an_unknown_key_like_no_other_lists_the_valid_ones(tmp_path: Path) -> None:
    line = fault(tmp_path, "[redis]\nzzz = 1")
    assert "unknown key 'redis.zzz'" in line
    assert all(key in line for key in ("url", "password_file", "timeout_s"))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[book]\nclock = 'sundial'", "book.clock"),
        ("[book]\nclock_interval_ms = 'often'", "book.clock_interval_ms"),
        ("[book]\nlockstep = 'perhaps'", "book.lockstep"),
        ("[redis]\ntimeout_s = 'long'", "redis.timeout_s"),
        ("[log]\nlevel = 'loud'", "log.level"),
        ("[[instruments]]\nsymbol = 'X'\ncurrency = 'USD'\ntick_size = 'thin'", "instruments[0].tick_size"),
    ],
)
def test_a_bad_value_is_named_by_its_key(tmp_path: Path, text: str, key: str) -> None:
    assert f"key '{key}'" in fault(tmp_path, text)


def test_a_value_that_its_own_struct_refuses_says_why(tmp_path: Path) -> None:
    line = fault(tmp_path, "[[instruments]]\nsymbol = 'X'\ncurrency = 'USD'\ntick_size = '0'")
    assert "X: tick_size must be positive" in line


def test_a_missing_required_key_is_named(tmp_path: Path) -> None:
    assert "currency' is required and not set" in fault(tmp_path, "[[instruments]]\nsymbol = 'X'\ntick_size = '1'")


def test_a_service_section_names_the_whole_path_of_a_nested_key(tmp_path: Path) -> None:
    raw = read_file(write(tmp_path, "[feed_replay.market]\nticks_per_second = 3.0"), {})
    with pytest.raises(ConfigError, match=r"unknown key 'feed_replay\.market\.ticks_per_second'; did you mean 'ticks_per_s'\?"):
        load_section(raw, "feed_replay", FeedReplayConfig)


def test_a_file_that_is_not_there_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml does not exist; `barque config init` writes one"):
        read_file(tmp_path / "none.toml", {})


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_file(tmp_path, {})


def test_a_file_that_is_not_utf8_is_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "barque.toml"
    path.write_bytes(b"[book]\nname = '\xff\xfe'")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_file(path, {})


def test_broken_toml_says_where(tmp_path: Path) -> None:
    line = fault(tmp_path, "[book]\nname = = 1\n")
    assert "is not valid TOML" in line
    assert "line 2" in line


# -- the environment -------------------------------------------------------------------------------------------------------


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    config = common(
        tmp_path,
        "[book]\nname = 'file'\nclock_interval_ms = 250",
        BARQUE__BOOK__NAME="environment",
        BARQUE__BOOK__CLOCK_INTERVAL_MS="50",
        BARQUE__BOOK__LOCKSTEP="true",
        BARQUE_CONFIG="not a key",
        HOME="/nowhere",
    )
    assert (config.book.name, config.book.clock_interval_ms, config.book.lockstep) == ("environment", 50, True)


def test_the_environment_can_open_a_section_that_the_file_lacks(tmp_path: Path) -> None:
    assert common(tmp_path, "", BARQUE__REDIS__URL="redis://elsewhere:1/0").redis.url == "redis://elsewhere:1/0"


def test_an_unknown_key_in_the_environment_is_an_error_too(tmp_path: Path) -> None:
    assert "did you mean 'url'?" in fault(tmp_path, "", BARQUE__REDIS__UR="redis://elsewhere:1/0")
    assert "unknown section 'reddis'" in fault(tmp_path, "", BARQUE__REDDIS__URL="redis://elsewhere:1/0")


def test_the_environment_cannot_go_through_a_value(tmp_path: Path) -> None:
    line = fault(tmp_path, "[book]\nname = 'x'", BARQUE__BOOK__NAME__FIRST="y")
    assert "BARQUE__BOOK__NAME__FIRST" in line
    assert "'name' is not a table" in line


# -- paths and secrets -----------------------------------------------------------------------------------------------------


def test_relative_paths_start_at_the_files_own_folder(tmp_path: Path) -> None:
    text = f"""
[redis]
password_file = "secrets/redis"
[[feed_replay.files]]
path = "data/ticks.csv"
symbol = "EURUSD"
[gateway]
token_file = "{tmp_path}/absolute/token"
{EURUSD}
[[strategies]]
id = "a"
strategy = "sma_cross"
symbols = ["EURUSD"]
params = {{ path = "left/alone" }}
"""
    raw = read_file(write(tmp_path, text), {})
    assert load_common(raw).redis.password_file == tmp_path / "secrets" / "redis"
    assert load_section(raw, "feed_replay", FeedReplayConfig).files[0].path == tmp_path / "data" / "ticks.csv"
    assert raw["gateway"]["token_file"] == str(tmp_path / "absolute" / "token")
    assert load_common(raw).strategies[0].params == {"path": "left/alone"}


def test_a_password_file_goes_into_the_url_quoted_and_stripped(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("  p@ss/w:rd\n")
    redis = RedisConfig(url="redis://me@host:1/2", password_file=tmp_path / "secret")
    postgres = PostgresConfig(url="postgresql://barque@host:5/db?sslmode=require", password_file=tmp_path / "secret")
    assert redis.dsn() == "redis://me:p%40ss%2Fw%3Ard@host:1/2"
    assert postgres.dsn() == "postgresql://barque:p%40ss%2Fw%3Ard@host:5/db?sslmode=require"


def test_a_password_file_replaces_a_password_in_the_url(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("new")
    assert RedisConfig(url="redis://me:old@host:1/0", password_file=tmp_path / "secret").dsn() == "redis://me:new@host:1/0"


def test_without_a_password_file_the_url_stays_as_it_is() -> None:
    assert RedisConfig(url="redis://host:1/0").dsn() == "redis://host:1/0"


@pytest.mark.parametrize(("content", "said"), [(None, "cannot read"), (" \n", "is empty")])
def test_a_secret_that_is_not_there_names_its_key(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "secret").write_text(content)
    with pytest.raises(ConfigError, match=rf"key 'redis\.password_file': .*{said}"):
        RedisConfig(password_file=tmp_path / "secret").dsn()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
        ("postgresql://barque:s3cr3t@db/barque", "postgresql://barque:***@db/barque"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked(url) == shown


# -- defaults --------------------------------------------------------------------------------------------------------------


def test_an_empty_file_is_a_book_called_main(tmp_path: Path) -> None:
    config = common(tmp_path, "")
    assert (config.book.name, config.book.clock, config.instruments, config.strategies) == ("main", "wall", (), ())
    assert load_section({}, "paper", PaperConfig) == PaperConfig()


def test_the_expected_nodes_are_the_books_and_one_per_enabled_strategy(tmp_path: Path) -> None:
    text = "\n".join(
        f"[[strategies]]\nid = '{name}'\nstrategy = 's'\nsymbols = []\nenabled = {enabled}"
        for name, enabled in (("b", "true"), ("a", "true"), ("off", "false"))
    )
    expected = ["barbuilder", "portfolio", "router", "sender.paper", "strategy.a", "strategy.b"]
    assert common(tmp_path, text).expected_nodes() == expected


def test_a_symbol_without_an_instrument_names_the_nearest(tmp_path: Path) -> None:
    config = common(tmp_path, EURUSD)
    assert config.instrument("EURUSD").currency == "USD"
    with pytest.raises(ConfigError, match=r"symbol 'EURUDS' has no \[\[instruments\]\] entry; did you mean 'EURUSD'\?"):
        config.instrument("EURUDS")


def test_the_section_of_an_installed_broker_is_known_and_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "[mybroker]\nport = 1")
    with pytest.raises(ConfigError, match="unknown section 'mybroker'"):
        read_file(path, {})
    package = tmp_path / "site" / "mybroker-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: mybroker\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[barque.venues]\nmybroker = mybroker.venue:open_venue\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert read_file(path, {})["mybroker"] == {"port": 1}
    with pytest.raises(ConfigError, match="unknown section 'mybrokr'; did you mean 'mybroker'"):
        read_file(write(tmp_path, "[mybrokr]\nport = 1"), {})
