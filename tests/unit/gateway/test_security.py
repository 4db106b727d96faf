"""Who may see and who may command."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from barque.errors import ConfigError
from gateway.config import GatewayConfig
from gateway.security import Guard, Refused

TOKEN = "0123456789abcdef" * 2


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def request(path: str = "/api/v1/status", method: str = "GET", kind: str = "http", **headers: str) -> dict[str, object]:
    named = {"host": "127.0.0.1:8000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in named.items()]
    return {"type": kind, "path": path, "method": method, "headers": raw}


def refusal(guard: Guard, scope: dict[str, object]) -> int:
    """Status of the refusal; 0 where it is let in."""
    try:
        guard.admit(scope)
    except Refused as refused:
        return refused.status
    return 0


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:8000", "[::1]:8000", "desk.example:443"])
def test_our_own_names_are_let_in(host: str) -> None:
    assert refusal(Guard(GatewayConfig(allowed_hosts=("desk.example",))), request(host=host)) == 0


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "[::1", "192.168.0.9:8000"]
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_rebound_name_is_refused(host: str, kind: str) -> None:
    assert refusal(Guard(GatewayConfig()), request(kind=kind, host=host)) == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8000", "file://"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_another_site_is_refused(origin: str, kind: str) -> None:
    assert refusal(Guard(GatewayConfig()), request(kind=kind, origin=origin)) == 403


def test_our_own_page_is_let_in() -> None:
    assert refusal(Guard(GatewayConfig()), request(kind="websocket", origin="http://127.0.0.1:8000")) == 0


@pytest.mark.parametrize(("length", "status"), [("20", 0), ("16385", 413), ("many", 411), ("-1", 411)])
def test_a_command_says_how_long_it_is(length: str, status: int) -> None:
    assert refusal(Guard(GatewayConfig()), request("/api/v1/halt", "POST", content_length=length)) == status


def test_beyond_loopback_everything_but_the_probes_needs_the_token(token_file: Path) -> None:
    guard = Guard(GatewayConfig(host="0.0.0.0", token_file=token_file))  # noqa: S104
    basic = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
    assert refusal(guard, request()) == 401
    assert refusal(guard, request("/")) == 401
    assert refusal(guard, request("/metrics")) == 401
    assert refusal(guard, request(kind="websocket")) == 401
    assert refusal(guard, request(authorization="Bearer wrong")) == 401
    assert refusal(guard, request(authorization="Basic %%%")) == 401
    assert refusal(guard, request(authorization=f"Bearer {TOKEN}")) == 0
    assert refusal(guard, request(authorization=f"Basic {basic}")) == 0
    assert refusal(guard, request("/readyz")) == 0


def test_without_a_token_this_machine_may_halt_and_nobody_may_resume() -> None:
    guard = Guard(GatewayConfig())
    guard.authorise_halt(None)
    with pytest.raises(Refused, match=r"resume is off.*token_file"):
        guard.authorise_resume("Bearer ")


def test_with_a_token_both_commands_need_it_as_bearer(token_file: Path) -> None:
    guard = Guard(GatewayConfig(token_file=token_file))
    basic = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
    for authorise in (guard.authorise_halt, guard.authorise_resume):
        authorise(f"Bearer {TOKEN}")
        for wrong in (None, "", TOKEN, f"Basic {basic}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", "Bearer ümlaut"):
            with pytest.raises(Refused, match="needs the token") as refused:
                authorise(wrong)
            assert refused.value.status == 401
            assert TOKEN not in str(refused.value)


def test_a_short_token_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("admin")
    with pytest.raises(ConfigError, match="shorter than 32"):
        Guard(GatewayConfig(token_file=tmp_path / "token"))
