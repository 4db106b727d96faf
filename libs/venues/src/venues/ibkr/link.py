"""One connection to a Gateway or TWS: a fresh ib_async object, from its handshake to its end.

In:   host, port, client id.   Out: a synchronised `Link`, or the reason why not, in words that say what to do.
Not:  trying again (`session`). An object that has lost its socket is never used again: its trades and tickers are dead.

ib_async is unchanged; three things are arranged around it. Its failures are raced: it waits out its whole time-out where the peer
has hung up long ago. Our request ids live far above order ids: an error names only a number. And its wrapper's methods are
tapped (`taps`): its events leave out fills that arrive with a reconnection, and statuses that it thinks it knows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import structlog
from ib_async import IB, StartupFetch

from barque.errors import BarqueError, ConfigError, VenueUnavailable
from venues.ibkr.codes import Reaction, explain, reaction_of
from venues.ibkr.config import IbkrConfig

log = structlog.get_logger()

REQUEST_IDS_FROM = 1_000_000_000
"""Order ids are below, ids of all other requests from here on."""
SYNC_MESSAGES = 8
"""What connecting itself sends, at most."""
CLOSE_S = 2.0
_READ_ONLY = "read-only"

Tap: TypeAlias = Callable[..., None]
Hear: TypeAlias = Callable[[int, int, str], None]
"""`(request or order id, code, text)`."""


class Link:
    """One connection. `gone` is done, with the reason, as soon as it is over."""

    def __init__(self, config: IbkrConfig, client_id: int, taps: Mapping[str, Tap], hear: Hear) -> None:
        loop = asyncio.get_running_loop()
        self.ib = IB()
        self.client: Any = self.ib.client
        """Untyped, and without `IB`'s own book-keeping of orders."""
        self.account = ""
        self.accounts: tuple[str, ...] = ()
        self.read_only = False
        """The API takes no orders."""
        self.degraded = ""
        """Why the Gateway has lost Interactive Brokers; empty: it has not."""
        self.gone: asyncio.Future[str] = loop.create_future()
        self._failed: asyncio.Future[BarqueError | str] = loop.create_future()
        self._config = config
        self._client_id = client_id
        self._hear = hear
        self._codes: list[tuple[int, str]] = []
        self._up = False
        self._arrange(taps)

    @property
    def first_order_id(self) -> int:
        """The Gateway's `nextValidId` when the session began, or above it where open orders are known to be."""
        return self._first_order_id

    @property
    def server_version(self) -> int:
        return int(self.ib.client.serverVersion())

    async def open(self, account: str | None, fetch: StartupFetch, read_only: bool) -> None:
        """Connect and synchronise. `account` None: any login will do. Raises `VenueUnavailable` or `ConfigError`, and then the
        connection is closed."""
        config = self._config
        self._wanted = account
        self.read_only = read_only
        connecting = asyncio.ensure_future(
            self.ib.connectAsync(
                config.host,
                config.port,
                clientId=self._client_id,
                timeout=config.connect_timeout_s,
                readonly=read_only,
                account=account or "",
                raiseSyncErrors=True,
                fetchFields=fetch,
            )
        )
        try:
            await asyncio.wait({connecting, self._failed}, return_when="FIRST_COMPLETED", timeout=4 * config.connect_timeout_s)
            if connecting.done() and not self._failed.done():
                connecting.result()
                self._up = True
                return
            raise await self._reason(connecting)
        except BarqueError:
            await self._abandon(connecting)
            raise
        except (OSError, TimeoutError) as error:
            await self._abandon(connecting)
            raise self._explained(error) from None
        except BaseException:
            await self._abandon(connecting)
            raise

    async def close(self, reason: str) -> None:
        """End it, and wait until the socket is closed: the same client id is refused while an old one is open."""
        if not self.gone.done():
            self.gone.set_result(reason)
        self.ib.client.apiError -= self._on_api_error
        try:
            self.ib.disconnect()
        except ConnectionError:  # connected, and the handshake was not over
            self.client.disconnect()
        connection: Any = self.ib.client.conn
        for _ in range(int(CLOSE_S / 0.01)):
            if not connection.isConnected():
                return
            await asyncio.sleep(0.01)
        if connection.transport is not None:
            connection.transport.abort()

    # -- arranging -----------------------------------------------------------------------------------------------------

    def _arrange(self, taps: Mapping[str, Tap]) -> None:
        ib = self.ib
        ib.RaiseRequestErrors = True
        ib.TimezoneTWS = self._config.time_zone
        ib.errorEvent -= ib._onError  # it opens one more account summary at every 1102, of which two are allowed
        ib.disconnectedEvent += self._on_disconnected
        ib.client.apiError += self._on_api_error
        ib.client.apiStart += self._on_handshake
        self.client.conn.disconnected += self._on_hung_up
        for name in ("ib_async.ib", "ib_async.client", "ib_async.wrapper"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # all that they say is said here, in our own form
        self._tap("error", lambda number, code, text, *_: self._on_error(number, code, text))
        self._tap("nextValidId", self._on_next_valid_id)
        for name, tap in taps.items():
            self._tap(name, tap)
        self._first_order_id = 0

    def _tap(self, name: str, tap: Tap) -> None:
        wrapper = self.ib.wrapper
        original = getattr(wrapper, name)

        def both(*args: Any) -> None:
            original(*args)
            try:
                tap(*args)
            except Exception:
                # ib_async swallows what a handler raises. What we have not understood is in the broker's books: begin anew.
                log.exception("ibkr_handler_failed", handler=name)
                self._break(f"our own handler of {name} failed")

        setattr(wrapper, name, both)

    def _break(self, reason: str) -> None:
        if not self.gone.done():
            self.gone.set_result(reason)

    # -- what happens --------------------------------------------------------------------------------------------------

    def _on_disconnected(self) -> None:
        last = next((explain(*each) for each in reversed(self._codes) if reaction_of(*each) is Reaction.RECONNECT), "")
        self._break(last or "the Gateway closed the connection")

    def _on_api_error(self, text: str) -> None:
        if not self._up and not self._failed.done():
            self._failed.set_result(text)

    def _on_hung_up(self, text: str) -> None:
        """Of a peer that hangs up before the handshake ib_async says nothing at all."""
        self._on_api_error(text or "the peer hung up")

    def _on_next_valid_id(self, number: int) -> None:
        self._first_order_id = max(self._first_order_id, number)

    def _on_handshake(self) -> None:
        """Before anything is asked, and long before anything is sent: whose account is it?"""
        client = self.client
        self._first_order_id = max(self._first_order_id, client._reqIdSeq)
        client.updateReqId(REQUEST_IDS_FROM)
        self.accounts = tuple(client.getAccounts())
        if self._first_order_id >= REQUEST_IDS_FROM:
            self._fail(
                ConfigError(
                    f"the Gateway wants order ids from {self._first_order_id} on; reset them: API settings, 'Reset API order ID "
                    "sequence'"
                )
            )
        if self._wanted is None:
            return
        try:
            self.account = the_account(self._wanted, self.accounts, self._config.live)
        except ConfigError as error:
            self._fail(error)

    def _fail(self, error: BarqueError | str) -> None:
        if not self._failed.done():
            self._failed.set_result(error)

    def _on_error(self, number: int, code: int, text: str) -> None:
        if len(self._codes) < 1_000:
            self._codes.append((code, text))
        reaction = reaction_of(code, text)
        if reaction is Reaction.READ_ONLY:
            if not self._up and not self.read_only:
                self._fail(_READ_ONLY)
            self.read_only = True
        self._hear(number, code, text)

    # -- why not -------------------------------------------------------------------------------------------------------

    async def _reason(self, connecting: asyncio.Future[Any]) -> BarqueError:
        if connecting.done():
            error = connecting.exception()
            if error is not None and not isinstance(self._failed_with(), BarqueError):
                return self._explained(error)
        failed = self._failed_with()
        if isinstance(failed, BarqueError):
            return failed
        if failed == _READ_ONLY:
            return ReadOnly("the API is read-only")
        return self._explained(ConnectionError(failed) if failed else TimeoutError())

    def _failed_with(self) -> BarqueError | str:
        return self._failed.result() if self._failed.done() else ""

    async def _abandon(self, connecting: asyncio.Future[Any]) -> None:
        for _ in range(20):  # a cancel that meets the end of one of its steps is swallowed
            connecting.cancel()
            await asyncio.wait({connecting}, timeout=0.05)
            if connecting.done():
                break
        if connecting.done() and not connecting.cancelled():
            connecting.exception()  # retrieved
        await self.close("it could not be opened")

    def _explained(self, error: BaseException) -> BarqueError:
        where = f"{self._config.host}:{self._config.port}"
        for code, text in self._codes:
            reaction = reaction_of(code, text)
            if reaction is Reaction.CLIENT_ID:
                return VenueUnavailable(
                    f"{where}: client id {self._client_id} is in use, by another program or by our last session, which is not "
                    "quite over. It is tried again with the same id, for orders belong to it"
                )
            if reaction is Reaction.FATAL:
                return ConfigError(f"{where}: {explain(code, text)}")
        if isinstance(error, ConnectionRefusedError):
            return VenueUnavailable(
                f"{where}: nothing listens there. Start the Gateway or TWS, enable its API (Configure, API, Settings: 'Enable "
                "ActiveX and Socket Clients') and compare the port with ibkr.port (runbook ibkr_connection_refused)"
            )
        if isinstance(error, TimeoutError):
            return VenueUnavailable(
                f"{where}: connected, and no answer to the handshake. The Gateway is still logging in or waits for two-factor "
                f"confirmation, a dialog there asks whether to accept the connection, or this is no API port"
            )
        text = str(error)
        if isinstance(error, OSError) and not isinstance(error, ConnectionError):
            return VenueUnavailable(f"{where}: cannot be reached: {text}. Check ibkr.host and ibkr.port")
        if "timed out" in text:
            return VenueUnavailable(f"{where}: the session could not be synchronised: {text}; the Gateway is tried again")
        return VenueUnavailable(
            f"{where}: the connection was accepted and closed again ({text}). The Gateway behind it is down or logging in, or "
            f"client id {self._client_id} is in use"
        )


class ReadOnly(VenueUnavailable):
    """The API answers and takes no orders."""


def is_live(account: str) -> bool:
    """Paper accounts begin with D (`DU1234567`), live ones do not (`U1234567`)."""
    return not account.startswith("D")


def the_account(wanted: str, accounts: tuple[str, ...], live: bool) -> str:
    """The account to trade; raises `ConfigError` where the login has not got it, has several, or it is of the other kind.

    >>> the_account("", ("DU1",), live=False)
    'DU1'
    """
    has = ", ".join(accounts) or "none"
    if not wanted and len(accounts) != 1:
        raise ConfigError(f"this login has the accounts {has}; say which with ibkr.account")
    account = wanted or accounts[0]
    if account not in accounts:
        raise ConfigError(
            f"account '{account}' is not in this login, which has {has}; set ibkr.account, or log the Gateway in as its user"
        )
    if is_live(account) and not live:
        raise ConfigError(
            f"account '{account}' is a live account, and ibkr.live is false: nothing was sent. Log the Gateway in to the paper "
            "account, or set ibkr.live = true"
        )
    if live and not is_live(account):
        raise ConfigError(
            f"account '{account}' is a paper account, and ibkr.live is true; set ibkr.live = false, or the live account"
        )
    return account
