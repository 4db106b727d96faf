"""A stand-in for TWS or Gateway: speaks the socket protocol to ib_async, trades on its own market, goes wrong on demand."""

from simulators.tws.clock import ManualClock
from simulators.tws.limits import Limits
from simulators.tws.noise import Noise
from simulators.tws.server import TwsSimulator, UnreadableRequests

__all__ = ["Limits", "ManualClock", "Noise", "TwsSimulator", "UnreadableRequests"]
