"""The pure exchange model shared by the backtester, the paper sender and the simulators."""

from barque_paper.config import PaperConfig, PaperSymbolConfig
from barque_paper.node import PaperNode

__all__ = ["PaperConfig", "PaperNode", "PaperSymbolConfig"]
