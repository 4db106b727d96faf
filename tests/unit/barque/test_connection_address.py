"""Where a Redis URL points."""

from __future__ import annotations

import pytest

from barque.bus.connection import Address


@pytest.mark.parametrize(
    ("url", "host", "port", "database", "tls"),
    [
        ("redis://localhost", "localhost", 6379, 0, False),
        ("redis://10.0.0.7:6400/3", "10.0.0.7", 6400, 3, False),
        ("redis://[::1]:6400/0", "::1", 6400, 0, False),
        ("rediss://cache.example.org/2", "cache.example.org", 6379, 2, True),
        ("redis://", "127.0.0.1", 6379, 0, False),
        ("redis://host:1/", "host", 1, 0, False),
    ],
)
def test_a_tcp_url(url: str, host: str, port: int, database: int, tls: bool) -> None:
    found = Address.of(url)
    assert (found.host, found.port, found.database, found.tls, found.path) == (host, port, database, tls, "")


def test_a_socket_url_has_its_database_in_the_query() -> None:
    found = Address.of("unix:///run/redis/redis.sock?db=4")
    assert (found.path, found.database, found.tls) == ("/run/redis/redis.sock", 4, False)
    assert Address.of("unix:///run/redis.sock").database == 0


def test_credentials_are_unquoted() -> None:
    found = Address.of("redis://us%40er:p%40ss%2Fw%3Ard@host:1/0")
    assert (found.username, found.password) == ("us@er", "p@ss/w:rd")
    assert Address.of("redis://:only@host").username == ""
    assert Address.of("redis://host").password == ""


@pytest.mark.parametrize("url", ["http://host:1", "host:6379", "", "redis+cluster://host"])
def test_another_scheme_is_refused_with_those_that_are_known(url: str) -> None:
    with pytest.raises(ValueError, match=r"use redis://, rediss:// or unix://"):
        Address.of(url)


@pytest.mark.parametrize("url", ["redis://host:1/zero", "redis://host:port/0", "unix:///s?db=x"])
def test_a_number_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Address.of(url)
