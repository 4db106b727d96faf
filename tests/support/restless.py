"""A strategy that does everything a strategy can do, at moments that follow from the prices alone: to shake an engine with."""

from __future__ import annotations

from decimal import Decimal

from barque.messages import Bar, Fill, Quote, SignalRejected, Trade
from barque.strategy import SMA, Strategy, StrategyParams, StrategyState


class Restless(Strategy):
    """Draws what to do next from a linear congruence that every price is mixed into."""

    class Params(StrategyParams, frozen=True):
        seed: int = 1
        calm: int = 6
        """It acts on one of so many prices."""
        answers: bool = True
        """It also acts on fills and rejections."""

    class State(StrategyState):
        dice: int = 0

    params: Params
    state: State

    def setup(self) -> None:
        self.averages = {symbol: self.indicator(SMA(3)) for symbol in self.symbols}
        self.windows = {symbol: self.history(symbol, 4, price=None) for symbol in self.symbols[:1] if self.params.seed % 3 == 0}
        self.daily("00:17:30", "UTC", "quarter past")

    def on_start(self) -> None:
        self.state.dice = self.params.seed

    def on_bar(self, bar: Bar) -> None:
        self.averages[bar.symbol].update(bar.close)
        self.act(bar.symbol, bar.close)

    def on_fill(self, fill: Fill) -> None:
        if self.params.answers and self._draw(round(fill.price * 1000)) % 3 == 0:
            away = Decimal("0.0004") if fill.side == "buy" else Decimal("-0.0004")
            (self.sell if fill.side == "buy" else self.buy)(fill.symbol, 1, limit_price=fill.price + away, tag="answer")

    def on_signal_rejected(self, rejection: SignalRejected) -> None:
        if self.params.answers and self._draw(7) % 4 == 0:
            self.notify(f"refused: {rejection.reason}")

    def on_schedule(self, name: str) -> None:
        self.target(self.symbols[0], 1, reason=name)

    def act(self, symbol: str, price: float) -> None:
        dice = self._draw(round(price * 100_000) if price == price else 3)
        if dice % self.params.calm:
            return
        move, near = (dice // self.params.calm) % 13, 0.0002 + dice % 5 * 0.0001
        orders = self.open_orders(symbol)
        if move < 3:
            self.target(symbol, (-2, 0, 2)[move])
        elif move == 3 and price > near:
            self.buy(symbol, 1, limit_price=price - near)
        elif move == 4 and price > near:
            self.sell(symbol, 1, stop_price=price - near)
        elif move == 5 and price > 4 * near:
            self.bracket(symbol, "buy", 1, take_profit=price + 2 * near, stop_loss=price - 2 * near)
        elif move == 6 and price > 0:
            self.buy(symbol, 1, limit_price=price + near, time_in_force="ioc")
        elif move == 7 and price > near:
            until_ns = self.now + 150_000_000_000
            self.sell(symbol, 1, limit_price=price + near, time_in_force="gtd", valid_until_ns=until_ns)
        elif move == 8 and orders:
            self.cancel(symbol, orders[dice % len(orders)].order_id)
        elif move == 9 and orders and price > near:
            self.modify(symbol, orders[-1].order_id, quantity=2)
        elif move == 10:
            self.close(symbol)
        elif move == 11:
            self.setup_changed(symbol, f"s{dice % 7}", "buy", "WATCHING", levels={"here": 1.25})
        elif move == 12 and price > near:
            self.sell(symbol, 1, trail_amount=near)

    def _draw(self, salt: int) -> int:
        self.state.dice = (self.state.dice * 6364136223846793005 + salt + 1442695040888963407) % 2**63
        return self.state.dice >> 20


class RestlessTicks(Restless):
    """The same on ticks too."""

    def on_tick(self, tick: Quote | Trade) -> None:
        self.act(tick.symbol, tick.bid if isinstance(tick, Quote) else tick.price)
