"""The gateway's own section of `barque.toml`.

In:   `[gateway]`.   Out: `GatewayConfig`, refused with `ConfigError` where it would expose the book.
Not:  the token itself; that is read from `token_file` by `gateway.security`.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from zoneinfo import ZoneInfo

from barque.config import Section
from barque.errors import ConfigError


class GatewayConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the gateway listens, who may command, how the page shows time."""

    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Path | None = None
    """The secret that resumes, and that everything needs beyond loopback. There is no default."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, besides the loopback ones, under which a browser or proxy may address the gateway."""
    title: str = "Barque"
    time_zone: str = "UTC"
    """IANA name; for the page only, the API always speaks UTC."""

    def __post_init__(self) -> None:
        if not 0 < self.port < 65_536:
            raise ConfigError(f"key 'gateway.port': {self.port} is not a port; choose one from 1 to 65535")
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError):
            raise ConfigError(f"key 'gateway.time_zone': '{self.time_zone}' is no IANA zone such as 'Europe/London'") from None
        if self.token_file is None and not self.on_loopback:
            raise ConfigError(
                f"key 'gateway.host': {self.host} is reachable from outside and 'gateway.token_file' is not set; "
                "set it, or bind to 127.0.0.1"
            )

    @property
    def on_loopback(self) -> bool:
        """True: nobody outside this machine can connect."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
