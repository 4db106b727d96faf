"""Who may see and who may command: host, origin and token checks before anything else runs.

In:   every HTTP request and websocket upgrade.   Out: the request as it was, or a refusal that says what to do.
Not:  sessions, cookies, lockouts. A token of 32 characters cannot be guessed, and a lockout would be a way to
      keep the owner from halting.

Host defeats DNS rebinding, Origin defeats cross-site requests and sockets. Beyond loopback every path but the probes
needs the token: `Authorization: Bearer <token>`, or Basic with any user name, for which browsers ask by themselves.
"""

from __future__ import annotations

import base64
import binascii
from hmac import compare_digest
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from barque.config import read_secret
from barque.errors import ConfigError
from gateway.config import GatewayConfig

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
MIN_TOKEN_LENGTH = 32
MAX_BODY_BYTES = 16_384

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'",
}


class Refused(Exception):
    """A request that is not to be answered; `status` is its HTTP code."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Guard:
    """The rules. One per gateway; holds the token, shows it to nobody."""

    def __init__(self, config: GatewayConfig) -> None:
        bound = set() if config.host in ("0.0.0.0", "::") else {config.host}  # noqa: S104
        self._hosts = LOOPBACK_HOSTS | bound | {host.lower() for host in config.allowed_hosts}
        self._private = not config.on_loopback
        self._token = _read_token(config)

    @property
    def has_token(self) -> bool:
        """True: a token file is configured."""
        return self._token is not None

    def admit(self, scope: Scope) -> None:
        """Raise `Refused` unless this request or upgrade may go on."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _name_of(host) not in self._hosts:
            raise Refused(403, f"host '{host[:100]}' is not one of ours; add its name to gateway.allowed_hosts")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise Refused(403, f"origin '{origin[:100]}' is not '{host[:100]}'; requests of other sites are refused")
        if scope["type"] == "http" and scope["method"] in ("POST", "PUT", "PATCH") and scope["path"].startswith("/api/"):
            _check_length(headers.get("content-length", ""))
        if self._private and scope["path"] not in OPEN_PATHS and not self.knows(_token_in(headers.get("authorization"))):
            raise Refused(401, "the token is missing or wrong; send 'Authorization: Bearer <token>'")

    def knows(self, token: str | None) -> bool:
        """True where `token` is the configured one; compared in constant time."""
        return self._token is not None and token is not None and compare_digest(token.encode(), self._token)

    def authorise_halt(self, authorization: str | None) -> None:
        """A halt needs the token, where there is one; without one only this machine can ask at all."""
        if self.has_token:
            self._authorise(authorization, "halt")

    def authorise_resume(self, authorization: str | None) -> None:
        """A resume always needs the token."""
        if not self.has_token:
            raise Refused(403, "resume is off: no gateway.token_file is configured; set it and restart the gateway")
        self._authorise(authorization, "resume")

    def _authorise(self, authorization: str | None, command: str) -> None:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not self.knows(token.strip()):
            raise Refused(401, f"{command} needs the token: send 'Authorization: Bearer <token>' as in gateway.token_file")


class Gate:
    """ASGI middleware: `Guard` at the door, and the headers every answer carries."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app, self._guard = app, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            self._guard.admit(scope)
        except Refused as refused:
            await _refuse(refused, scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


async def _refuse(refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": str(refused)[:120]})
        return
    headers = {"WWW-Authenticate": 'Basic realm="barque", charset="UTF-8"'} if refused.status == 401 else {}
    await JSONResponse({"error": str(refused)}, refused.status, headers)(scope, receive, send)


def _read_token(config: GatewayConfig) -> bytes | None:
    if config.token_file is None:
        return None
    token = read_secret(config.token_file, "gateway.token_file")
    if len(token) < MIN_TOKEN_LENGTH:
        raise ConfigError(
            f"key 'gateway.token_file': the token in {config.token_file} is shorter than {MIN_TOKEN_LENGTH} characters; "
            "make one with `openssl rand -hex 32`"
        )
    return token.encode()


def _token_in(authorization: str | None) -> str | None:
    """The token of a Bearer or Basic header; None where there is none to be read."""
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def _name_of(host: str) -> str:
    """The name in a Host header, without port and brackets; empty where it is malformed."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _check_length(length: str) -> None:
    if not length.isdecimal():
        raise Refused(411, "a Content-Length header is required")
    if int(length) > MAX_BODY_BYTES:
        raise Refused(413, f"the body is {length} bytes long; at most {MAX_BODY_BYTES} are taken")
