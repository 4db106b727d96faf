"""What a live feed decides, told only events and times: freshness against the calendar, gaps, and what it says of them."""

from __future__ import annotations

from datetime import date, time
from typing import Any

from barque.calendars import calendar, instant, zone
from barque.live_feed.config import LiveFeedConfig
from barque.live_feed.core import Act, FeedCore, Fill, Say, Subscribe, Warn
from barque.live_feed.revising import Revise
from barque.live_feed.source import Connected, Lost, SafeMode, Subscription, SymbolNews
from barque.messages import DataStatus, FeedStatus

NS = 10**9
T0 = instant(date(2014, 5, 1), time(12), zone("UTC"))
"""A Thursday."""
FRIDAY_CLOSE = instant(date(2014, 5, 2), time(21), zone("UTC"))
"""FX: 17:00 in New York."""
SUNDAY_OPEN = instant(date(2014, 5, 4), time(21), zone("UTC"))
EURUSD = Subscription(symbol="EURUSD", kind="quotes")
KEY = EURUSD.key


class Feed:
    """A core and what it has wanted since the last look."""

    def __init__(self, at: int = T0, *subscriptions: Subscription, published: int = 0, hours: str = "FX", **config: Any) -> None:
        wanted = subscriptions or (EURUSD,)
        self.core = FeedCore("feed.x", LiveFeedConfig(**config), wanted, {each.symbol: calendar(hours) for each in wanted})
        self.acts: list[Act] = self.core.begin({KEY: published} if published else {}, at)

    def told(self, event: Any, at: int) -> Feed:
        self.acts += self.core.told(event, at)
        return self

    def heard(self, at: int, event: int = 0, missed: bool = False, key: str = KEY) -> Feed:
        self.acts += self.core.heard(key, event or at, at, missed)
        return self

    def wait(self, from_ns: int, to_ns: int, step_s: float = 0.5) -> Feed:
        at = from_ns
        while at <= to_ns:
            self.acts += self.core.on_time(at)
            at += int(step_s * NS)
        return self

    def taken(self) -> list[Act]:
        acts, self.acts = self.acts, []
        return acts

    def live(self, at: int = T0) -> Feed:
        """Connected, and a tick has come."""
        self.wait(at, at).told(Connected(), at).heard(at)
        self.taken()
        return self


def states(acts: list[Act], symbol: str | None = None) -> list[str]:
    """What was said on `ticks`, heartbeats aside."""
    said = [act.status for act in acts if isinstance(act, Say) and isinstance(act.status, FeedStatus)]
    return [s.state for s in said if s.state != "heartbeat" and (symbol is None or s.symbol == symbol)]


def fitness(acts: list[Act]) -> list[str]:
    """What the router was told."""
    return [act.status.state for act in acts if isinstance(act, Say) and isinstance(act.status, DataStatus)]


def subscribed(acts: list[Act]) -> int:
    return sum(isinstance(act, Subscribe) for act in acts)


def alerts(acts: list[Act]) -> list[tuple[str, str]]:
    return [(act.alert.name, act.alert.severity) for act in acts if isinstance(act, Warn)]


def fills(acts: list[Act]) -> list[Fill]:
    return [act for act in acts if isinstance(act, Fill)]


def test_nothing_is_fit_to_trade_on_before_the_first_tick() -> None:
    feed = Feed().told(Connected(), T0)
    acts = feed.wait(T0, T0 + 2 * NS).taken()
    assert (fitness(acts), subscribed(acts)) == (["stale"], 1)
    assert fitness(feed.heard(T0 + 3 * NS).taken()) == ["live"]


def test_a_heartbeat_comes_every_thirty_seconds() -> None:
    acts = Feed().live().wait(T0, T0 + 95 * NS).taken()
    beats = [
        act.status.ts_event_ns - T0 for act in acts if isinstance(act, Say) and getattr(act.status, "state", "") == "heartbeat"
    ]
    assert beats == [30 * NS, 60 * NS, 90 * NS]


def test_a_silent_symbol_is_stale_after_its_time_and_is_subscribed_to_anew_less_and_less_often() -> None:
    feed = Feed().live()
    assert not states(feed.wait(T0, T0 + 59 * NS).taken())
    acts = feed.wait(T0 + 60 * NS, T0 + 60 * NS).taken()
    assert (states(acts), fitness(acts), subscribed(acts)) == (["stale"], ["stale"], 1)
    later = feed.wait(T0 + 61 * NS, T0 + 600 * NS).taken()
    assert subscribed(later) == 4, "at 90, 150, 270 and 570 s"
    assert alerts(later) == [("feed_stale", "warning")]
    assert states(later) == [], "it is said once"


def test_a_tick_ends_the_silence_and_what_was_silent_is_filled() -> None:
    feed = Feed().live().wait(T0, T0 + 60 * NS)
    feed.taken()
    acts = feed.heard(T0 + 70 * NS).taken()
    (fill,) = fills(acts)
    assert (fill.from_ns, fill.to_ns, fill.ahead) == (T0, T0 + 70 * NS, True)
    assert states(acts) == ["gap"]
    feed.acts += feed.core.filled(fill, 12, "", T0 + 71 * NS)
    assert states(feed.taken()) == ["filled"]
    assert fitness(feed.wait(T0 + 71 * NS, T0 + 72 * NS).taken()) == [], "bars of the past are on their way to strategies"
    assert fitness(feed.wait(T0 + 73 * NS, T0 + 73 * NS).taken()) == ["live"]


def test_silence_while_the_market_is_closed_is_no_news() -> None:
    feed = Feed().live(FRIDAY_CLOSE - 10 * NS)
    acts = feed.wait(FRIDAY_CLOSE - 10 * NS, FRIDAY_CLOSE + 3_600 * NS, 5.0).taken()
    assert (states(acts), subscribed(acts), alerts(acts)) == ([], 0, [])
    acts = feed.wait(SUNDAY_OPEN - 10 * NS, SUNDAY_OPEN + 55 * NS).taken()
    assert states(acts) == []
    assert states(feed.wait(SUNDAY_OPEN + 56 * NS, SUNDAY_OPEN + 61 * NS).taken()) == ["stale"]


def test_a_weekend_is_no_gap_and_the_hours_before_it_are() -> None:
    feed = Feed().live(FRIDAY_CLOSE + 10 * NS)
    feed.told(Lost(detail="gone"), FRIDAY_CLOSE + 20 * NS).told(Connected(), SUNDAY_OPEN - 60 * NS)
    assert not fills(feed.heard(SUNDAY_OPEN - 1).taken())
    other = Feed().live(FRIDAY_CLOSE - 10 * NS).told(Lost(detail="gone"), FRIDAY_CLOSE - 5 * NS)
    other.told(Connected(), FRIDAY_CLOSE + 60 * NS)
    assert fills(other.heard(FRIDAY_CLOSE + 70 * NS).taken())


def test_a_short_flap_pauses_nobody_and_its_gap_is_filled() -> None:
    feed = Feed().live().told(Lost(detail="flap"), T0 + NS).wait(T0 + NS, T0 + 4 * NS).told(Connected(), T0 + 5 * NS)
    acts = feed.taken()
    assert (states(acts), fitness(acts), subscribed(acts)) == (["disconnected", "connected"], [], 1)
    (fill,) = fills(feed.heard(T0 + 6 * NS).taken())
    assert (fill.from_ns, fill.to_ns) == (T0, T0 + 6 * NS)


def test_a_lost_connection_pauses_trading_then_alerts_and_is_announced_when_it_is_back() -> None:
    feed = Feed().live().told(Lost(detail="the Gateway closed it"), T0)
    acts = feed.wait(T0, T0 + 61 * NS).taken()
    assert (fitness(acts), alerts(acts)) == (["stale"], [("feed_disconnected", "critical")])
    acts = feed.told(Connected(), T0 + 90 * NS).taken()
    assert alerts(acts) == [("feed_disconnected", "info")]
    acts = feed.wait(T0 + 90 * NS, T0 + 95 * NS).taken()
    assert fitness(acts) == [], "connected is not live"


def test_a_nightly_restart_is_no_alert_for_half_an_hour() -> None:
    feed = Feed().live().told(Lost(detail="restart", expected=True), T0)
    assert alerts(feed.wait(T0, T0 + 1_799 * NS, 5.0).taken()) == []
    assert alerts(feed.wait(T0 + 1_800 * NS, T0 + 1_801 * NS).taken()) == [("feed_disconnected", "critical")]


def test_safe_mode_is_said_once() -> None:
    feed = Feed().told(Lost(detail="refused", attempts=9), T0).told(SafeMode(detail="refused", attempts=10), T0)
    acts = feed.told(SafeMode(detail="refused", attempts=11), T0 + 60 * NS).taken()
    assert [name for name, _ in alerts(acts)] == ["feed_safe_mode"]
    assert states(acts, "") == ["safe_mode"]


def test_kept_subscriptions_that_are_secretly_dead_are_renewed_after_their_time() -> None:
    feed = Feed().live().told(Lost(detail="1100"), T0 + NS).told(Connected(kept=True), T0 + 10 * NS)
    assert subscribed(feed.wait(T0 + 10 * NS, T0 + 24 * NS).taken()) == 0
    assert subscribed(feed.wait(T0 + 25 * NS, T0 + 26 * NS).taken()) == 1


def test_kept_subscriptions_that_live_are_left_alone() -> None:
    feed = Feed().live().told(Lost(detail="1100"), T0 + NS).told(Connected(kept=True), T0 + 10 * NS).heard(T0 + 12 * NS)
    acts = feed.wait(T0 + 12 * NS, T0 + 60 * NS).taken()
    assert (subscribed(acts), len(fills(acts))) == (0, 1)


def test_a_doubtful_subscription_has_fifteen_seconds() -> None:
    feed = Feed().live().told(SymbolNews(symbol="", state="doubtful", detail="2103 usfarm"), T0 + NS)
    assert subscribed(feed.wait(T0 + NS, T0 + 15 * NS).taken()) == 0
    acts = feed.wait(T0 + 16 * NS, T0 + 17 * NS).taken()
    assert (subscribed(acts), fitness(acts)) == (1, ["stale"])
    other = Feed().live().told(SymbolNews(symbol="", state="doubtful"), T0 + NS).heard(T0 + 2 * NS)
    assert subscribed(other.wait(T0 + 2 * NS, T0 + 40 * NS).taken()) == 0


def test_a_dropped_subscription_is_renewed_at_once() -> None:
    acts = Feed().live().told(SymbolNews(symbol="EURUSD", state="dropped", detail="10182"), T0 + NS).taken()
    assert subscribed(acts) == 1


def test_delayed_prices_are_never_fit_and_live_ones_are_again() -> None:
    feed = Feed().told(Connected(), T0).told(SymbolNews(symbol="EURUSD", state="delayed", detail="10167"), T0).heard(T0 + NS)
    acts = feed.wait(T0 + NS, T0 + 30 * NS).heard(T0 + 20 * NS).taken()
    assert (fitness(acts), alerts(acts)) == (["stale", "delayed"], [("feed_delayed", "warning")])
    acts = feed.told(SymbolNews(symbol="EURUSD", state="live"), T0 + 31 * NS).heard(T0 + 32 * NS).taken()
    assert fitness(acts) == ["live"]


def test_stolen_data_are_said_once_however_often_the_broker_says_so_and_come_back_by_themselves() -> None:
    gbp = Subscription(symbol="GBPUSD", kind="quotes")
    feed = Feed(T0, EURUSD, gbp).told(Connected(), T0).heard(T0).heard(T0, key=gbp.key)
    for second in range(5):
        for symbol in ("EURUSD", "GBPUSD"):
            feed.told(SymbolNews(symbol=symbol, state="stolen", detail="10197"), T0 + second * NS)
    acts = feed.wait(T0 + 5 * NS, T0 + 299 * NS, 1.0).taken()
    assert (alerts(acts), subscribed(acts)) == ([("feed_data_stolen", "critical")], 2), "2: of the connection"
    assert subscribed(feed.wait(T0 + 300 * NS, T0 + 305 * NS).taken()) == 2
    assert fitness(feed.heard(T0 + 306 * NS).taken()) == [], "the gap is filled first"
    again = feed.told(SymbolNews(symbol="EURUSD", state="stolen", detail="10197"), T0 + 400 * NS).taken()
    assert alerts(again) == [("feed_data_stolen", "critical")]


def test_what_is_not_entitled_is_asked_for_seldom() -> None:
    feed = Feed().told(Connected(), T0).told(SymbolNews(symbol="EURUSD", state="not_entitled", detail="354"), T0 + NS)
    acts = feed.wait(T0 + NS, T0 + 900 * NS, 1.0).taken()
    assert alerts(acts) == [("feed_refused", "critical")]
    assert subscribed(acts) == 1 + 2, "at the connection, and at 301 and 601 s"


def test_a_long_gap_is_filled_with_bars_and_only_as_far_back_as_configured() -> None:
    day = 86_400 * NS
    feed = Feed(T0, published=T0 - 3 * day).told(Connected(), T0)
    (fill,) = fills(feed.heard(T0 + NS).taken())
    assert (fill.from_ns, fill.to_ns, fill.ahead) == (T0 + NS - day, T0 + NS, False)
    assert not fills(Feed(T0, published=T0 - day, backfill_max_s=0.0).told(Connected(), T0).heard(T0 + NS).taken())


def test_a_source_that_brings_what_was_missed_is_marked_and_not_traded_on_meanwhile() -> None:
    own = Subscription(symbol="EURUSD", kind="quotes", resumes=True)
    feed = Feed(T0, own).live().told(Lost(detail="IPC"), T0).wait(T0, T0 + 10 * NS).told(Connected(), T0 + 60 * NS)
    feed.taken()
    acts = feed.heard(T0 + 61 * NS, T0 + 3 * NS, missed=True).heard(T0 + 61 * NS, T0 + 9 * NS, missed=True).taken()
    assert (states(acts), fills(acts)) == (["gap"], [])
    acts = feed.heard(T0 + 62 * NS).taken()
    assert (states(acts), fitness(acts)) == (["filled"], [])
    assert fitness(feed.wait(T0 + 62 * NS, T0 + 63 * NS).taken()) == ["live"]


def test_trades_may_be_rare_where_quotes_are_there() -> None:
    quotes, trades = (Subscription(symbol="SPY", kind=kind) for kind in ("quotes", "trades"))
    feed = Feed(T0, quotes, trades, hours="24/7").told(Connected(), T0).wait(T0, T0)
    feed.heard(T0, key=quotes.key)
    assert fitness(feed.wait(T0, T0 + 59 * NS).taken())[-1] == "live"
    for second in range(1, 200):
        feed.heard(T0 + second * NS, key=quotes.key).wait(T0 + second * NS, T0 + second * NS)
    acts = feed.taken()
    assert (states(acts), subscribed(acts)) == ([], 0)


def test_where_trading_is_not_to_be_paused_the_router_is_told_nothing() -> None:
    feed = Feed(T0, pause_trading=False).told(Connected(), T0).heard(T0)
    acts = feed.wait(T0, T0 + 100 * NS).taken()
    assert fitness(acts) == []
    assert states(acts, "EURUSD") == ["stale", "live", "stale"]


def test_a_gap_that_cannot_be_filled_is_an_alert() -> None:
    feed = Feed().live().told(Lost(detail="x"), T0).told(Connected(), T0 + 30 * NS)
    (fill,) = fills(feed.heard(T0 + 31 * NS).taken())
    feed.acts += feed.core.filled(fill, 0, "162: no data", T0 + 32 * NS)
    assert alerts(feed.taken()) == [("feed_gap", "warning")]
    assert fitness(feed.wait(T0 + 34 * NS, T0 + 35 * NS).taken()) == ["live"]


def test_at_the_end_everything_is_said_to_be_stale() -> None:
    feed = Feed().live()
    feed.acts += feed.core.end(T0 + NS)
    acts = feed.taken()
    assert (states(acts), fitness(acts)) == (["disconnected", "stale"], ["stale"])


# -- bars that a gap has left incomplete ---------------------------------------------------------------------------------


def revisions(acts: list[Act]) -> list[tuple[str, int, int]]:
    """Seconds since `T0`."""
    return [(act.interval, (act.from_ns - T0) // NS, (act.to_ns - T0) // NS) for act in acts if isinstance(act, Revise)]


def test_bars_that_closed_before_ticks_of_history_came_are_asked_for_a_little_after() -> None:
    """Lost at 12:00:30, back at 12:02:31, filled at 12:02:32: two minutes had closed, that of 12:02 had not."""
    feed = Feed(backfill_intervals=("1m", "5m")).live(T0 + 30 * NS).told(Lost(detail="x"), T0 + 31 * NS)
    feed.told(Connected(), T0 + 150 * NS)
    (fill,) = fills(feed.heard(T0 + 151 * NS).taken())
    assert fill.ahead
    feed.core.filled(fill, 7, "", T0 + 152 * NS)
    assert revisions(feed.wait(T0 + 153 * NS, T0 + 161 * NS).taken()) == []
    assert revisions(feed.wait(T0 + 162 * NS, T0 + 170 * NS).taken()) == [("1m", 0, 120)]
    assert revisions(feed.wait(T0 + 171 * NS, T0 + 900 * NS).taken()) == [], "once, and of the five minutes the ticks are there"


def test_after_a_gap_filled_with_bars_the_two_at_its_edges_are_asked_for_when_they_have_closed() -> None:
    feed = Feed(backfill_ticks_s=0.0).live(T0 + 30 * NS).told(Lost(detail="x"), T0 + 31 * NS).told(Connected(), T0 + 250 * NS)
    (fill,) = fills(feed.heard(T0 + 251 * NS).taken())
    assert not fill.ahead
    feed.core.filled(fill, 3, "", T0 + 253 * NS)
    assert revisions(feed.wait(T0 + 254 * NS, T0 + 309 * NS).taken()) == [("1m", 0, 60)]
    assert revisions(feed.wait(T0 + 310 * NS, T0 + 400 * NS).taken()) == [("1m", 240, 300)]


def test_where_ticks_did_not_come_all_bars_of_the_gap_are_asked_for_once_there_is_a_connection() -> None:
    feed = Feed().live(T0 + 30 * NS).told(Lost(detail="x"), T0 + 31 * NS).told(Connected(), T0 + 100 * NS)
    (fill,) = fills(feed.heard(T0 + 101 * NS).taken())
    feed.core.filled(fill, 0, "162: no data", T0 + 110 * NS)
    feed.told(Lost(detail="again"), T0 + 111 * NS)
    assert revisions(feed.wait(T0 + 112 * NS, T0 + 200 * NS).taken()) == []
    feed.told(Connected(), T0 + 201 * NS)
    (revise,) = [act for act in feed.wait(T0 + 201 * NS, T0 + 202 * NS).taken() if isinstance(act, Revise)]
    assert revisions([revise]) == [("1m", 0, 120)]
    assert feed.core.revised(revise, "", T0 + 203 * NS) == []
    assert alerts(feed.core.revised(revise, "no answer", T0 + 203 * NS)) == [("feed_gap", "warning")]


def test_a_source_that_brings_what_was_missed_has_its_closed_bars_made_whole_too() -> None:
    own = Subscription(symbol="EURUSD", kind="quotes", resumes=True, bar_prices=("bid",))
    feed = Feed(T0, own).live(T0 + 30 * NS).told(Lost(detail="IPC"), T0 + 31 * NS).told(Connected(), T0 + 130 * NS)
    feed.heard(T0 + 131 * NS, T0 + 33 * NS, missed=True).heard(T0 + 132 * NS).taken()
    acts = feed.wait(T0 + 133 * NS, T0 + 150 * NS).taken()
    assert revisions(acts) == [("1m", 0, 120)]
    assert [act.subscription.prices for act in acts if isinstance(act, Revise)] == [("bid",)]
