"""Two ways to the package: in this process (Windows), or over RPyC's classic protocol to where a terminal is.

In:   one call at a time, from one thread.   Out: flattened results (`flatten`).
Not:  time-outs of the thread itself (`worker`), the meaning of results (`client`).

The classic protocol lets the client run code on the server, which is what it is for. It would let the server run code here as
well; the service that we offer it has nothing to run.
"""

from __future__ import annotations

import importlib
import inspect
import socket
from typing import Any, ClassVar, Protocol

from barque.errors import ConfigError, VenueUnavailable
from venues.mt5 import flatten
from venues.mt5.config import Mt5Config

Flattened = tuple[Any, tuple[int, str]]
"""The result, and `last_error` right after it."""


class Transport(Protocol):
    """Blocking; every method but `abort` is called from one and the same thread."""

    shared: bool
    """True: others may use the same package's process, so it is not ours to shut down."""

    def open(self) -> None:
        """Reach the package; raises `VenueUnavailable` or `ConfigError`."""
        ...

    def call(
        self, name: str, args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...], request: tuple[Any, ...], timeout_s: float
    ) -> Flattened:
        """Raises whatever breaks; then nobody knows what came of the call."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...

    def abort(self) -> None:
        """From another thread: make a call that is under way come back, where that is possible."""
        ...


class InProcess:
    """The package itself: one per process, however often it is opened."""

    shared = False
    _at_work: ClassVar[str] = ""
    """The call that has not come back, whoever made it."""

    def __init__(self) -> None:
        self._package: Any = None

    def open(self) -> None:
        if InProcess._at_work:  # another thread would hang as well, and one more with each attempt
            raise VenueUnavailable(f"the package MetaTrader5 has not come back from {InProcess._at_work}")
        try:
            self._package = importlib.import_module("MetaTrader5")
        except ImportError as error:
            raise ConfigError(
                "key 'mt5.transport' is in_process, and the package MetaTrader5 is not here: it exists for Windows only. Install "
                f'it there, or set transport = "rpyc" and run a bridge ({error})'
            ) from None

    def call(
        self, name: str, args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...], request: tuple[Any, ...], timeout_s: float
    ) -> Flattened:
        InProcess._at_work = name
        try:
            flattened: Flattened = flatten.call(self._package, name, args, kwargs, request)
        finally:
            InProcess._at_work = ""
        return flattened

    def close(self) -> None:
        self._package = None

    def abort(self) -> None:
        """A call into the package cannot be interrupted: it is waited for."""


class Rpyc:
    """A classic RPyC server (version 6 on both sides) that can import the package."""

    shared = True

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._address = (host, port)
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._connection: Any = None
        self._remote: Any = None

    def open(self) -> None:
        where = f"{self._address[0]}:{self._address[1]}"
        try:
            self._connect()
        except (OSError, EOFError) as error:
            self.close()
            raise VenueUnavailable(f"the bridge {where} cannot be reached: {error}; is its container or machine up?") from None
        except Exception as error:
            self.close()
            text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise VenueUnavailable(
                f"the bridge {where} is no RPyC 6 classic server that can import MetaTrader5: {type(error).__name__}: {text}"
            ) from None

    def _connect(self) -> None:
        from rpyc.core.channel import Channel
        from rpyc.core.stream import SocketStream

        self.close()
        self._socket = socket.create_connection(self._address, timeout=self._timeout_s)
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        settings = {"sync_request_timeout": self._timeout_s}
        self._connection = _peer()._connect(Channel(SocketStream(self._socket)), settings)
        root = self._connection.root
        root.execute(inspect.getsource(flatten))
        root.execute("import MetaTrader5\ndef barque_call(*given):\n    return call(MetaTrader5, *given)")
        self._remote = root.eval("barque_call")

    def call(
        self, name: str, args: tuple[Any, ...], kwargs: tuple[tuple[str, Any], ...], request: tuple[Any, ...], timeout_s: float
    ) -> Flattened:
        from rpyc import async_

        if self._remote is None:
            raise VenueUnavailable(f"the bridge {self._address[0]}:{self._address[1]} is not connected")
        waiting = async_(self._remote)(name, args, kwargs, request)
        waiting.set_expiry(timeout_s)
        flattened: Flattened = waiting.value
        return flattened

    def close(self) -> None:
        connection, self._connection, self._remote = self._connection, None, None
        self.abort()
        if connection is not None:
            try:
                connection.close()
            except (OSError, EOFError):
                connection = None  # the other side was gone first
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def abort(self) -> None:
        """A thread that waits at the socket finds it ended."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it had ended already


def open_transport(config: Mt5Config) -> Transport:
    """As configured; not opened."""
    if config.transport == "in_process":
        return InProcess()
    return Rpyc(config.host, config.port, config.call_timeout_s)


def _peer() -> Any:
    """What the server sees of us: the names that a classic server asks its client for, with nothing behind them."""
    from rpyc.core.service import VoidService

    class Peer(VoidService):  # type: ignore[misc]
        exposed_namespace = None
        exposed_execute = None
        exposed_eval = None
        exposed_getconn = None

        def exposed_getmodule(self, name: str) -> None:
            return None

    return Peer()
