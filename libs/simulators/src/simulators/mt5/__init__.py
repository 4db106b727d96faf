"""A MetaTrader 5 terminal with its trade server, in one process: a stand-in for the package `MetaTrader5`, also over RPyC."""

from simulators.mt5.faults import Fault
from simulators.mt5.simulator import Mt5Simulator
from simulators.mt5.specs import SymbolSpec, forex

__all__ = ["Fault", "Mt5Simulator", "SymbolSpec", "forex"]
