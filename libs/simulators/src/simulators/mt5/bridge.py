"""The module served over RPyC's classic protocol, as bridges into Wine or to a Windows machine serve the package.

In:   a module, a port on loopback.   Out: clients that run code here: `import MetaTrader5` gives them the module.
Not:  safe for anybody else to reach: a classic server runs what it is sent.
"""

from __future__ import annotations

import builtins
import importlib
import logging
import threading
from types import ModuleType
from typing import Any

from rpyc.core.service import ClassicService
from rpyc.utils.server import ThreadedServer

from simulators.mt5.module import NAME

_QUIET = logging.getLogger("simulators.mt5.bridge")
_QUIET.propagate = False
_QUIET.addHandler(logging.NullHandler())


class Bridge:
    """A classic RPyC server with one thread that accepts and one for each client."""

    def __init__(self, module: ModuleType, port: int = 0) -> None:
        self._server = _Server(_service(module), hostname="127.0.0.1", port=port, logger=_QUIET)
        self.port: int = self._server.port
        self._thread = threading.Thread(target=self._server.start, name="mt5-bridge", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._server._listen()
        self._thread.start()

    def cut(self) -> None:
        """Break every connection; new ones are welcome."""
        for socket in list(self._server.clients):
            _Server.end(socket)

    def close(self) -> None:
        """Stop, connections included."""
        self.cut()
        self._server.close()
        self._thread.join(5)


class _Server(ThreadedServer):  # type: ignore[misc]
    def _authenticate_and_serve_client(self, sock: Any) -> None:
        """A connection that breaks is part of the game, no exception of a thread."""
        try:
            self._serve_client(sock, None)
        except Exception as error:
            _QUIET.info("a client's connection has ended: %r", error)
        finally:
            self.clients.discard(sock)
            self.end(sock)
            sock.close()

    @staticmethod
    def end(sock: Any) -> None:
        """Both directions at once, whoever waits there."""
        try:
            sock.shutdown(2)
        except OSError as error:
            _QUIET.info("a connection had ended already: %r", error)


def _service(module: ModuleType) -> type[Any]:
    def import_(name: str, *args: Any, **kwargs: Any) -> Any:
        return module if name == NAME else builtins.__import__(name, *args, **kwargs)

    class TerminalService(ClassicService):  # type: ignore[misc]
        __slots__ = ()

        def __init__(self) -> None:
            super().__init__()
            self.namespace["__builtins__"] = vars(builtins) | {"__import__": import_}

        def getmodule(self, name: Any) -> Any:
            name = ".".join(name) if isinstance(name, tuple) else name
            return module if name == NAME else importlib.import_module(name)

    return TerminalService
