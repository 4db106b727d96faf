"""Health of a service over HTTP: /healthz (the process lives), /readyz (it can work, or why not), /metrics; and what else
it has to show.

In:   components that say whether they can work.   Out: JSON and Prometheus text, on a thread of its own so that a busy
event loop cannot hide.   Not: anything that changes state, anything that names a secret.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from barque.errors import ConfigError
from barque.observability.metrics import READY


class Health:
    """What a service's components say of themselves; safe to use from any thread."""

    def __init__(self, service: str, liveness_s: float = 10.0) -> None:
        self._service = service
        self._liveness_s = liveness_s
        self._reasons: dict[str, str] = {}
        self._begun = False
        self._beat = time.monotonic()
        self._lock = threading.Lock()
        self._pages: dict[str, Callable[[str], object]] = {}

    def show(self, page: str, look_up: Callable[[str], object]) -> None:
        """Answer `/<page>/<name>` with `look_up(name)` as JSON, 404 where that is None; called on the server's thread."""
        self._pages[page] = look_up

    def shown(self, path: str) -> object:
        """What a page says; None: there is no such page."""
        page, _, name = path.strip("/").partition("/")
        look_up = self._pages.get(page)
        return look_up(unquote(name)) if look_up is not None else None

    def ready(self, component: str) -> None:
        """`component` can work."""
        self._set(component, "")

    def not_ready(self, component: str, reason: str) -> bool:
        """`component` cannot work, because of `reason`; True where that is news."""
        return self._set(component, reason)

    def remove(self, component: str) -> None:
        """`component` is gone on purpose (a node moved to another worker)."""
        with self._lock:
            self._reasons.pop(component, None)
        READY.labels(self._service, component).set(0)

    def beat(self) -> None:
        """The event loop turns."""
        self._beat = time.monotonic()

    def _set(self, component: str, reason: str) -> bool:
        with self._lock:
            self._begun = True
            news = self._reasons.get(component) != reason
            self._reasons[component] = reason
        READY.labels(self._service, component).set(0 if reason else 1)
        return news

    def alive(self) -> bool:
        """False where the event loop has not turned for `liveness_s`."""
        return time.monotonic() - self._beat < self._liveness_s

    def reasons(self) -> dict[str, str]:
        """Components that cannot work, and why; a service whose components have not said anything yet is starting."""
        with self._lock:
            if not self._begun:
                return {self._service: "starting"}
            return {component: reason for component, reason in self._reasons.items() if reason}


class HealthServer:
    """Serves a `Health` until `close`."""

    def __init__(self, health: Health, host: str, port: int) -> None:
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(health))
        except OSError as error:
            raise ConfigError(
                f"health port {host}:{port} cannot be used: {error.strerror}; choose another --health-port"
            ) from None
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._reply(200, CONTENT_TYPE_LATEST, generate_latest())
            elif self.path == "/healthz":
                alive = health.alive()
                self._json(200 if alive else 503, {"alive": alive})
            elif self.path == "/readyz":
                reasons = health.reasons()
                self._json(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})
            elif (found := health.shown(self.path)) is not None:
                self._json(200, found)
            else:
                self._json(404, {"error": "only /healthz, /readyz and /metrics are here"})

        def _json(self, status: int, body: object) -> None:
            self._reply(status, "application/json", json.dumps(body).encode())

        def _reply(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes are not news."""

    return Handler
