"""Section `[portfolio]` of `barque.toml`: the accounts whose books we keep."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from barque.config import Section


class AccountConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account and what it began with."""

    name: str
    currency: str
    """Its base currency: equity is said in it."""
    starting_cash: Decimal


class ArchiveConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the streams go as files; without this section nowhere. Needs the extra `portfolio[archive]`."""

    path: Path
    ticks: bool = False
    """Quotes and trades too; bars always."""
    flush_s: float = 60.0
    """What has come goes to disk this often."""

    def __post_init__(self) -> None:
        if not 0 < self.flush_s < 86_400:
            raise ValueError("flush_s must be positive and less than a day")


class PortfolioConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the portfolio needs to keep books."""

    equity_interval_s: int = 60
    """Event time between two valuations that no fill asked for."""
    accounts: tuple[AccountConfig, ...] = ()
    archive: ArchiveConfig | None = None
    bars_keep_days: int = 0
    """Bars in Postgres of months that ended so long ago are forgotten, where the clock is `wall`; 0: kept for ever."""
    events_keep_days: int = 400
    """Signals, orders, what was said of them, rejections and comparisons with the broker of before are retired likewise, but not
    those of orders at work; with `[portfolio.archive]` they go into files first. Fills and journal stay. 0: kept for ever."""
    equity_keep_days: int = 0
    """Valuations of before are retired likewise; days stay. 0: kept for ever."""

    def __post_init__(self) -> None:
        if self.equity_interval_s <= 0:
            raise ValueError("equity_interval_s must be positive")
        for name in ("bars_keep_days", "events_keep_days", "equity_keep_days"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative; 0 keeps them for ever")
        names = [account.name for account in self.accounts]
        if len(set(names)) < len(names):
            raise ValueError("accounts must have different names")
        if not all(account.starting_cash.is_finite() for account in self.accounts):
            raise ValueError("starting_cash must be a number")
