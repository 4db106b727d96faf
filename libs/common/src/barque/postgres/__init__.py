"""The ledger in Postgres: connections, migrations, projections. Needs the extra `barque[postgres]`."""
