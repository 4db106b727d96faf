"""When Interactive Brokers is expected to be away, by their pages; New York is 5 hours behind UTC in winter."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from barque.errors import ConfigError
from venues.ibkr.config import IbkrConfig, Region
from venues.ibkr.windows import check_restart, expected_outage, login_due


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("when", "region", "word"),
    [
        ("2026-12-02T05:14", "north_america", ""),
        ("2026-12-02T05:15", "north_america", "nightly reset"),
        ("2026-12-02T06:44", "north_america", "nightly reset"),
        ("2026-12-02T06:45", "north_america", ""),
        ("2026-07-01T04:20", "north_america", "nightly reset"),
        ("2026-12-02T05:30", "europe", "nightly reset"),
        ("2026-12-01T20:50", "asia_pacific", "nightly reset"),
        ("2026-12-02T12:30", "asia_pacific", "nightly reset"),
        ("2026-12-02T12:30", "europe", ""),
        ("2026-12-05T04:30", "europe", "weekend"),
        ("2026-12-05T07:59", "europe", "weekend"),
        ("2026-12-05T08:00", "europe", ""),
        ("2026-12-06T05:59", "asia_pacific", ""),
        ("2026-12-06T06:00", "asia_pacific", "weekly login"),
        ("2026-12-06T20:00", "europe", "weekly login"),
        ("2026-12-02T04:59", "europe", "daily restart"),
        ("2026-12-02T05:08", "europe", "daily restart"),
        ("2026-12-02T05:09", "europe", ""),
    ],
)
def test_each_window_at_its_edges(when: str, region: Region, word: str) -> None:
    said = expected_outage(at(when), IbkrConfig(reset_region=region))
    assert word in said if word else said == ""


def test_the_login_of_the_week_is_due_from_sunday_one_oclock_in_new_york() -> None:
    assert not login_due(at("2026-12-06T05:59"))
    assert login_due(at("2026-12-06T06:00"))
    assert not login_due(at("2026-12-07T06:00"))


@pytest.mark.parametrize("section", [{"restart_at": "midnight"}, {"time_zone": "Mars/Olympus"}])
def test_a_restart_that_is_no_time_is_refused(section: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"ibkr\.restart_at"):
        check_restart(IbkrConfig(**section))  # type: ignore[arg-type]
