"""From a name in `barque.toml` to a strategy class, and from a configuration to its nodes.

In:   `[[strategies]]`.   Out: classes found by entry point (group `barque.strategies`) or as `module:Class`.
Not:  anything at run time; whatever is wrong here is a `ConfigError` before anything is connected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import get_args

from barque.config import CommonConfig, StrategyConfig, convert
from barque.errors import ConfigError, nearest
from barque.instruments import Instrument
from barque.messages.market import PriceType
from barque.strategy import Strategy
from strategy_host.config import enabled_strategies
from strategy_host.core.node import StrategyNode

GROUP = "barque.strategies"


def make_node(entry: StrategyConfig, instruments: Iterable[Instrument]) -> StrategyNode:
    """A fresh node for one `[[strategies]]` entry; raises `ConfigError`."""
    return StrategyNode(entry, load_strategy(entry.strategy), instruments)


def node_factories(config: CommonConfig) -> dict[str, Callable[[], StrategyNode]]:
    """What makes a fresh node, by its name, for each enabled strategy. Each has made one, so that whatever is wrong with the
    configuration is a `ConfigError` now."""
    factories: dict[str, Callable[[], StrategyNode]] = {}
    for entry in enabled_strategies(config):
        make = partial(make_node, entry, config.instruments)
        factories[make().name] = make
    return factories


def load_strategy(name: str) -> type[Strategy]:
    """The class that `name` means: `sma_cross`, an installed entry point, or `my_package.my_module:MyStrategy`."""
    module_name, colon, class_name = name.partition(":")
    if not colon:
        installed = {point.name: point.value for point in entry_points(group=GROUP)}
        if name not in installed:
            hint = nearest(name, list(installed)) if installed else "no strategy package is installed"
            raise ConfigError(f"strategy '{name}' is not installed; {hint} (or give module:Class)")
        module_name, _, class_name = installed[name].partition(":")
    module = _import(module_name, name)
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        said = "is no Strategy" if found is not None else "does not exist"
        raise ConfigError(f"strategy '{name}': '{class_name}' of module {module_name} {said}; {_hint(class_name, module)}")
    return found


def bar_price(entry: StrategyConfig) -> PriceType | None:
    """The price type of the bars that an entry asks for by its parameter `price`; None: it takes whichever there are."""
    params = convert(entry.params, load_strategy(entry.strategy).Params, f"strategies.{entry.id}.params")
    price = getattr(params, "price", None)
    return price if price in get_args(PriceType) else None


def _import(module_name: str, name: str) -> ModuleType:
    try:
        return import_module(module_name)
    except Exception as error:  # a user's module may raise whatever it likes while it is imported
        raise ConfigError(
            f"strategy '{name}': module '{module_name}' cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _hint(class_name: str, module: ModuleType) -> str:
    strategies = [
        key
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Strategy) and value is not Strategy
    ]
    return nearest(class_name, strategies) if strategies else "the module has none"
