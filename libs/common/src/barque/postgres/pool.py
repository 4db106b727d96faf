"""Connections to Postgres. Errors of the network become `BusUnavailable`; what is wrong with the URL, `ConfigError`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from barque.config import PostgresConfig, masked
from barque.errors import BusUnavailable, ConfigError

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.QueryCanceledError,
    asyncpg.TooManyConnectionsError,
    asyncpg.OutOfMemoryError,
    asyncpg.DiskFullError,
)


@asynccontextmanager
async def postgres_errors(config: PostgresConfig) -> AsyncIterator[None]:
    """Turns what asyncpg raises when Postgres is away, or refuses us, into our errors."""
    where = masked(config.url)
    try:
        yield
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise ConfigError(f"Postgres at {where} refuses our credentials: {error}; check postgres.password_file") from None
    except asyncpg.InvalidCatalogNameError as error:
        raise ConfigError(f"Postgres at {where}: {error}; create the database first") from None
    except asyncpg.UndefinedTableError as error:
        raise BusUnavailable(f"Postgres at {where}: {error}; run `barque migrate`") from error
    except asyncpg.ClientConfigurationError as error:
        raise ConfigError(f"key 'postgres.url': {error}") from None
    except _AWAY as error:
        raise BusUnavailable(f"Postgres at {where}: {type(error).__name__}: {error}") from error


async def connect_one(config: PostgresConfig, idle_session_timeout_ms: int = 0) -> asyncpg.Connection:
    """One connection with time limits on everything; with `idle_session_timeout_ms` the server drops it when we freeze."""
    async with postgres_errors(config):
        return await asyncpg.connect(
            config.dsn(),
            timeout=config.timeout_s,
            command_timeout=config.timeout_s,
            max_cached_statement_lifetime=0,  # or every five minutes an order waits until its statement is planned anew
            server_settings=_settings(config, idle_session_timeout_ms),
        )


async def connect_pool(config: PostgresConfig, size: int = 5) -> asyncpg.Pool:
    """A pool for reading and for commands."""
    async with postgres_errors(config):
        return await asyncpg.create_pool(
            config.dsn(),
            min_size=0,
            max_size=size,
            timeout=config.timeout_s,
            command_timeout=config.timeout_s,
            server_settings=_settings(config, 0),
        )


def _settings(config: PostgresConfig, idle_session_timeout_ms: int) -> dict[str, str]:
    limit = str(int(config.timeout_s * 1000))
    return {
        "application_name": "barque",
        "statement_timeout": limit,
        "idle_in_transaction_session_timeout": limit,
        "idle_session_timeout": str(idle_session_timeout_ms),
        "tcp_keepalives_idle": "5",
        "tcp_user_timeout": "10000",
    }
