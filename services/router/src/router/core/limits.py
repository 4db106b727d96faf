"""Which limits are in force for a strategy in a symbol, as checks that are ready to look at an order.

In:   the configured layers and what commands have set.   Out: `Rules`, one tuple of checks for entries and one for exits.
Not:  looking at orders (`checks`), breakers.

Limits on positions, exposure and flow hold for the book and, where a strategy has its own, for that strategy besides. In each a
symbol's figure comes before the general one. Limits on a single order are one figure: the strategy's in that symbol, else the
strategy's, else the symbol's, else the general one. In every layer a command comes before the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal

from barque.calendars import calendar
from barque.config import Clock
from barque.errors import ConfigError, nearest
from barque.instruments import Instrument
from router.config import STALE_AFTER_S, LimitsConfig, RouterConfig, SymbolFigures
from router.core.checks import exposure, flow, market, size
from router.core.checks.proposal import Check, Proposal
from router.core.prices import Prices
from router.core.refusal import Refusal
from router.core.state import RouterState

SECOND_NS = 1_000_000_000
ONE = Decimal(1)
_BY_EQUITY = ("max_leverage", "max_margin_use_fraction", "max_buying_power_use_fraction")


def key(name: str, symbol: str = "", strategy_id: str = "") -> str:
    """The name of one figure of one layer.

    >>> key("max_position", "EURUSD"), key("max_position", "", "sma")
    ('max_position|EURUSD', 'max_position||sma')
    """
    return f"{name}|{symbol}|{strategy_id}" if strategy_id else f"{name}|{symbol}"


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for the orders of one strategy in one symbol."""

    entry: tuple[Check, ...]
    exit: tuple[Check, ...]
    duplicate_ns: int
    """How long an order is remembered as an intent; 0: nothing asks."""
    entry_names: tuple[str, ...] = ()
    exit_names: tuple[str, ...] = ()
    """The checks with their figures, for people."""

    def passed(self, closes: bool) -> tuple[str, ...]:
        """What an order that goes out has passed."""
        return self.exit_names if closes else self.entry_names

    def refusal(self, proposal: Proposal, state: RouterState) -> Refusal | None:
        """The first check's that has something against it."""
        for check in self.exit if proposal.order.closes else self.entry:
            refusal = check(proposal, state)
            if refusal is not None:
                return refusal
        return None


class Limits:
    """The layers of one router."""

    def __init__(
        self, config: RouterConfig, instruments: Mapping[str, Instrument], state: RouterState, prices: Prices, clock: Clock
    ) -> None:
        self._instruments = instruments
        self._prices = prices
        self._clock = clock
        self._by_hand = state.limits
        self._file: dict[str, Decimal] = {}
        self._layers: dict[tuple[str, str], SymbolFigures] = {}
        """By strategy and symbol; empty: any."""
        for strategy_id, symbol, layer in layers_of(config):
            self._layers[strategy_id, symbol] = layer
            self._file.update((key(name, symbol, strategy_id), value) for name, value in layer.numbers())
        self._rules: dict[tuple[str, str], Rules] = {}
        self._rated: dict[str, bool] = {}

    def changed(self) -> None:
        """A command has set a limit."""
        self._rules.clear()
        self._rated.clear()

    def rules(self, strategy_id: str, symbol: str) -> Rules:
        """What holds for the strategy in the symbol, which has an instrument."""
        rules = self._rules.get((strategy_id, symbol))
        if rules is None:
            rules = self._rules[strategy_id, symbol] = self._compile(strategy_id, symbol)
        return rules

    def rated(self, scope: str) -> bool:
        """Whether the orders of `scope` are counted for a rate."""
        rated = self._rated.get(scope)
        if rated is None:
            rated = self._rated[scope] = self._figure("max_orders_per_minute", [("", scope)]) is not None
        return rated

    def by_equity(self, strategy_id: str) -> bool:
        """Whether a limit on the strategy's orders goes by the account's equity; "": one on the book's."""
        scopes = ("", strategy_id) if strategy_id else ("",)
        return any(self._figure(name, [("", scope)]) is not None for name in _BY_EQUITY for scope in scopes)

    def margin_fraction(self, symbol: str) -> Decimal:
        """Margin of a position in `symbol`, as part of its notional."""
        figure = self._figure("margin_fraction", [(symbol, ""), ("", "")])
        return ONE if figure is None else figure

    # -- figures -----------------------------------------------------------------------------------------------------

    def _figure(self, name: str, layers: list[tuple[str, str]]) -> Decimal | None:
        """The first figure of `name` in the (symbol, strategy) `layers`; None where there is none, or a command took it away."""
        for symbol, strategy_id in layers:
            place = key(name, symbol, strategy_id)
            if place in self._by_hand:
                return self._by_hand[place]
            if place in self._file:
                return self._file[place]
        return None

    def _order_figure(self, name: str, strategy_id: str, symbol: str) -> Decimal | None:
        return self._figure(name, _order_layers(strategy_id, symbol))

    def _is_said(self, name: str, strategy_id: str, symbol: str) -> bool:
        """Whether the file or a command says something of it, were it that there is no limit."""
        places = [key(name, *layer) for layer in _order_layers(strategy_id, symbol)]
        return any(place in self._by_hand or place in self._file for place in places)

    def _trading_hours(self, strategy_id: str, symbol: str) -> bool:
        for place in ((strategy_id, symbol), (strategy_id, ""), ("", symbol), ("", "")):
            layer = self._layers.get(place)
            if layer is not None and layer.trading_hours is not None:
                return layer.trading_hours
        return False

    # -- checks ------------------------------------------------------------------------------------------------------

    def _compile(self, strategy_id: str, symbol: str) -> Rules:
        collar = list(self._collar(strategy_id, symbol))
        positions = [*self._positions("", symbol), *self._positions(strategy_id, symbol)]
        rates = [*self._rate(""), *self._rate(strategy_id)]
        entry = [
            *self._market(strategy_id, symbol),
            *self._order(strategy_id, symbol),
            *collar,
            *positions,
            *self._wide(""),
            *self._wide(strategy_id),
            *rates,
        ]
        exit_ = [*collar, *positions, *rates]
        names = tuple(map(_name, entry)), tuple(map(_name, exit_))
        return Rules(tuple(entry), tuple(exit_), self._longest_duplicate_ns(), *names)

    def _market(self, strategy_id: str, symbol: str) -> Iterator[Check]:
        for whose, scope in (("the book's", ""), (f"{strategy_id}'s", strategy_id)):
            layer = self._layers.get((scope, ""))
            if isinstance(layer, LimitsConfig) and layer.symbols is not None and symbol not in layer.symbols:
                yield market.NotAllowed(whose)
        if self._trading_hours(strategy_id, symbol):
            name = self._instruments[symbol].calendar
            yield market.TradingHours(calendar(name), name)
        yield market.UnfitData()
        yield from self._stale(strategy_id, symbol)

    def _stale(self, strategy_id: str, symbol: str) -> Iterator[Check]:
        """Where nobody says how old a price may be, a wall clock's own figure counts while the market is open."""
        if (stale := self._order_figure("stale_after_s", strategy_id, symbol)) is not None:
            yield market.StaleData(int(stale * SECOND_NS), stale)
        elif self._clock == "wall" and not self._is_said("stale_after_s", strategy_id, symbol):
            hours = calendar(self._instruments[symbol].calendar)
            yield market.StaleData(int(STALE_AFTER_S * SECOND_NS), STALE_AFTER_S, hours)

    def _order(self, strategy_id: str, symbol: str) -> Iterator[Check]:
        if (most := self._order_figure("max_order_quantity", strategy_id, symbol)) is not None:
            yield size.OrderQuantity(most)
        if (most := self._order_figure("max_order_notional", strategy_id, symbol)) is not None:
            yield size.OrderNotional(most, self._prices)
        if window := self._order_figure("duplicate_window_ms", strategy_id, symbol):
            yield flow.Duplicate(int(window))

    def _collar(self, strategy_id: str, symbol: str) -> Iterator[Check]:
        if (fraction := self._order_figure("price_collar_fraction", strategy_id, symbol)) is not None:
            yield market.PriceCollar(fraction, self._prices)

    def _positions(self, scope: str, symbol: str) -> Iterator[Check]:
        layers = [(symbol, scope), ("", scope)]
        if (most := self._figure("max_position", layers)) is not None:
            yield size.PositionSize(most, bool(scope))
        if (most := self._figure("max_notional", layers)) is not None:
            yield size.PositionNotional(most, bool(scope), self._prices)

    def _wide(self, scope: str) -> Iterator[Check]:
        measured = exposure.Scope(scope, self._prices, self.margin_fraction)
        kinds: dict[str, Callable[[Decimal, exposure.Scope], Check]] = {
            "max_gross_exposure": exposure.GrossExposure,
            "max_net_exposure": exposure.NetExposure,
            "max_leverage": exposure.Leverage,
            "max_margin_use_fraction": exposure.MarginUse,
            "max_buying_power_use_fraction": exposure.BuyingPower,
        }
        for name, kind in kinds.items():
            if (most := self._figure(name, [("", scope)])) is not None:
                yield kind(most, measured)
        if (most := self._figure("max_open_orders", [("", scope)])) is not None:
            yield flow.OpenOrders(int(most), scope)

    def _rate(self, scope: str) -> Iterator[Check]:
        if (most := self._figure("max_orders_per_minute", [("", scope)])) is not None:
            yield flow.OrderRate(int(most), scope)

    def _longest_duplicate_ns(self) -> int:
        figures = [value for place, value in (self._file | self._by_hand).items() if place.startswith("duplicate_window_ms|")]
        return int(max((value for value in figures if value is not None), default=0)) * 1_000_000


def _order_layers(strategy_id: str, symbol: str) -> list[tuple[str, str]]:
    """Whose figures a single order is held against, the most specific first."""
    return [(symbol, strategy_id), ("", strategy_id), (symbol, ""), ("", "")]


def _name(check: Check) -> str:
    """A check and its figures: `PositionSize 5`, `OrderRate 100 sma-eurusd`."""
    values: list[object] = [getattr(check, each.name) for each in fields(check)] if is_dataclass(check) else []
    flat = (value.strategy_id if isinstance(value, exposure.Scope) else value for value in values)
    figures = (str(value) for value in flat if isinstance(value, Decimal | int | str) and not isinstance(value, bool))
    return " ".join((type(check).__name__, *filter(None, figures)))


def layers_of(config: RouterConfig) -> Iterator[tuple[str, str, SymbolFigures]]:
    """Every layer of the file with its strategy and symbol; empty: any."""
    yield "", "", config.limits
    yield from (("", each.symbol, each) for each in config.symbol_limits)
    yield from ((each.strategy, each.symbol, each) for each in config.strategy_limits)


def check_names(config: RouterConfig, instruments: Mapping[str, Instrument], strategy_ids: frozenset[str]) -> None:
    """Raises `ConfigError` where an entry of `[router]` names a strategy or a symbol that does not exist."""
    named = [
        *(("symbol_limits", "", each.symbol) for each in config.symbol_limits),
        *(("strategy_limits", each.strategy, each.symbol) for each in config.strategy_limits),
        *(("sizing", each.strategy, each.symbol) for each in config.sizing),
        *(("strategy_breakers", each.strategy, "") for each in config.strategy_breakers),
        *(("limits.symbols", "", symbol) for symbol in config.limits.symbols or ()),
        *(("strategy_limits", each.strategy, symbol) for each in config.strategy_limits for symbol in each.symbols or ()),
    ]
    for table, strategy_id, symbol in named:
        if strategy_id and strategy_id not in strategy_ids:
            hint = nearest(strategy_id, sorted(strategy_ids)) if strategy_ids else "no strategy is configured"
            raise ConfigError(f"key 'router.{table}': strategy '{strategy_id}' has no [[strategies]] entry; {hint}")
        if symbol and symbol not in instruments:
            hint = nearest(symbol, list(instruments))
            raise ConfigError(f"key 'router.{table}': '{symbol}' has no [[instruments]] entry; {hint}")
