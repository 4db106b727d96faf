"""The simulated terminal over RPyC's classic protocol, to the library's own client."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import rpyc

from simulators.mt5 import Mt5Simulator


@contextmanager
def connected(sim: Mt5Simulator) -> Iterator[Any]:
    """The library's own classic client, with the stand-in importable, for it unpickles what it gets."""
    connection = rpyc.classic.connect("127.0.0.1", sim.port)
    try:
        connection.execute("import MetaTrader5 as mt5")
        yield connection
    finally:
        connection.close()


def test_a_classic_client_imports_the_package_and_obtains_its_tuples() -> None:
    with Mt5Simulator(["EURUSD"]) as sim, sim.installed(), connected(sim) as connection:
        sim.quote("EURUSD", 1.1, 1.1001)
        assert connection.eval("mt5.initialize()")
        tick = rpyc.classic.obtain(connection.eval("mt5.symbol_info_tick('EURUSD')"))
        assert (tick.bid, tick.ask) == (1.1, 1.1001)
        ticks = rpyc.classic.obtain(connection.eval("mt5.copy_ticks_from('EURUSD', 0, 10, mt5.COPY_TICKS_ALL)"))
        assert ticks["bid"].tolist() == [1.1]
        assert connection.modules["MetaTrader5"].ORDER_TYPE_BUY == 0


def test_clients_share_one_terminal_and_a_hang_holds_up_both() -> None:
    with Mt5Simulator(["EURUSD"]) as sim, connected(sim) as one, connected(sim) as other:
        assert one.eval("mt5.initialize()")
        assert other.eval("mt5.account_info().login") == 5001
        sim.fault("before", "hang", function="version", seconds=0.5)
        hanging = threading.Thread(target=lambda: one.eval("mt5.version()"))
        hanging.start()
        while not sim.faults.happened:
            time.sleep(0.01)
        began = time.monotonic()
        other.eval("mt5.account_info()")
        assert time.monotonic() - began > 0.3
        hanging.join()


def test_a_cut_breaks_connections_and_a_new_one_is_welcome() -> None:
    with Mt5Simulator(["EURUSD"]) as sim:
        with connected(sim) as connection:
            sim.cut()
            with pytest.raises((EOFError, OSError)):
                connection.eval("mt5.version()")
        with connected(sim) as again:
            assert again.eval("mt5.initialize()")


def test_a_bridge_that_was_down_comes_back_at_its_port() -> None:
    with Mt5Simulator(["EURUSD"]) as sim:
        port = sim.port
        sim.stop_serving()
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        sim.serve()
        assert sim.port == port
        with connected(sim) as connection:
            assert connection.eval("mt5.initialize()")
