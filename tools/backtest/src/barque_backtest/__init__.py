"""Backtests: the nodes of a book in one process over recorded data, and what came of it."""
