"""A broker's figures of the account as metrics: `barque_account_figure{figure="equity"}` and others, in its own currency."""

from __future__ import annotations

from contextlib import suppress

from prometheus_client import Gauge

from barque.venue import VenueAccount

FIGURES = ("equity", "buying_power", "daily_pnl", "unrealised_pnl", "realised_pnl")
ACCOUNT = Gauge(
    "barque_account_figure", "A figure of the account as the broker shows it; absent where it does not.", ("account", "figure")
)


def show(account: VenueAccount) -> None:
    """As of this look at the broker's books."""
    for figure in FIGURES:
        amount = getattr(account, figure)
        if amount is None:
            with suppress(KeyError):
                ACCOUNT.remove(account.account, figure)
        else:
            ACCOUNT.labels(account.account, figure).set(float(amount))
