"""What the gateway refuses to start with."""

from __future__ import annotations

from typing import Any

import pytest

from barque.config import load_section
from barque.errors import ConfigError
from gateway.config import GatewayConfig


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.9", "desk.example"])  # noqa: S104
def test_beyond_loopback_a_token_file_is_required(host: str) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.host.*token_file") as error:
        load_section({"gateway": {"host": host}}, "gateway", GatewayConfig)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_on_loopback_it_is_not(host: str) -> None:
    assert load_section({"gateway": {"host": host}}, "gateway", GatewayConfig).token_file is None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"port": 70_000}, r"gateway\.port.*70000"),
        ({"time_zone": "Mars/Olympus"}, r"gateway\.time_zone.*Mars"),
        ({"tokenfile": "x"}, "did you mean 'token_file'"),
    ],
)
def test_a_bad_key_is_named(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_section({"gateway": table}, "gateway", GatewayConfig)
