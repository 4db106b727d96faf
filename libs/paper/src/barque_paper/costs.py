"""What trading one symbol costs: spread, slippage, commission, and how much of a volume our orders may take. Pure.

In:   `[paper]` and `[[paper.symbols]]`, the instrument.   Out: exact prices on the instrument's grid, money, contracts.
Not:  whether an order trades (`matching`).
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from barque.instruments import Instrument
from barque.messages import Bar, SubmitOrder
from barque.messages.market import PriceType
from barque.messages.signals import Side
from barque_paper.config import PaperConfig, PaperSymbolConfig

ZERO, ONE = Decimal(0), Decimal(1)
_WITH_LIMIT = ("limit", "stop_limit")


class Costs:
    """The frictions of one instrument."""

    def __init__(self, config: PaperConfig, instrument: Instrument) -> None:
        own = next((each for each in config.symbols if each.symbol == instrument.symbol), None)
        own = own or PaperSymbolConfig(symbol=instrument.symbol)
        self.instrument = instrument
        self.multiplier = instrument.multiplier
        self.currency = instrument.currency
        self.on_margin = instrument.on_margin
        self._offsets = _offsets(own.spread_ticks, instrument.tick_size)
        self.margin = float((1 + own.spread_ticks) * instrument.tick_size)
        """More than rounding and spread can move a price."""
        self._slippage = config.slippage_fraction if own.slippage_ticks is None else ZERO
        self._slippage_price = (own.slippage_ticks or 0) * instrument.tick_size
        self._slips = bool(self._slippage or self._slippage_price)
        self._per_contract = own.commission_per_contract
        self._fraction, self._least = config.commission_fraction, config.commission_min
        self._volume_fraction = config.max_volume_fraction
        self._per_volume = own.volume_per_contract or (self.multiplier if instrument.asset_class == "fx" else ONE)

    def price(self, side: Side, bar: Bar, value: float) -> Decimal:
        """`value` of `bar` as an order of `side` pays or gets it: on the grid, spread added where the bar has none."""
        price = self.instrument.price(value)
        if not self._offsets:
            return price
        return self._above_zero(price + self._offsets.get((side, bar.price), ZERO))

    def recorded(self, side: Side, bar: Bar, price: Decimal) -> Decimal:
        """What stood in `bar` when an order of `side` could have `price`."""
        return price - self._offsets.get((side, bar.price), ZERO)

    def slipped(self, order: SubmitOrder, price: Decimal) -> Decimal:
        """`price` made worse by the slippage, on the grid, never past the order's limit."""
        if not self._slips:
            return price
        buys = order.side == "buy"
        part = price * self._slippage + self._slippage_price
        slipped = self._above_zero(self.instrument.price(price + part if buys else price - part))
        if order.limit_price is None or order.order_type not in _WITH_LIMIT:
            return slipped
        return min(slipped, order.limit_price) if buys else max(slipped, order.limit_price)

    def commission(self, notional: Decimal, quantity: Decimal) -> Decimal:
        """What an order owes in all that has traded `quantity` contracts worth `notional`."""
        if self._per_contract is not None:
            return self._per_contract * quantity
        part = self._fraction * notional
        return part if part > self._least else self._least

    def available(self, bar: Bar, taken: Decimal) -> Decimal | None:
        """Contracts that our orders may still take of `bar`; None: any number.

        No volume means that nothing was traded in a bar or trade of kind `last`; elsewhere it means that nobody counted.
        """
        if not self._volume_fraction:
            return None
        if not bar.volume > 0:
            return ZERO if bar.price == "last" else None
        allowed = self._volume_fraction * Decimal(repr(bar.volume)) / self._per_volume - taken
        step = self.instrument.quantity_step
        return max(ZERO, (allowed / step).to_integral_value(rounding=ROUND_DOWN) * step)

    def _above_zero(self, price: Decimal) -> Decimal:
        return max(price, self.instrument.tick_size)


def _offsets(spread_ticks: int, tick: Decimal) -> dict[tuple[Side, PriceType], Decimal]:
    """What is added to a price to make it that of a side. An odd tick of a spread around the middle is the buyer's."""
    ask, bid = (spread_ticks + 1) // 2 * tick, -(spread_ticks // 2) * tick
    offsets: dict[tuple[Side, PriceType], Decimal] = {
        ("buy", "mid"): ask,
        ("buy", "last"): ask,
        ("buy", "bid"): spread_ticks * tick,
        ("sell", "mid"): bid,
        ("sell", "last"): bid,
        ("sell", "ask"): -spread_ticks * tick,
    }
    return {key: offset for key, offset in offsets.items() if offset}
