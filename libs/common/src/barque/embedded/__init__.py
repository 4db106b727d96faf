"""Valkey and Postgres as plain child processes of ours, for the demo, tests and a first try. Extra `barque[embedded]`."""
