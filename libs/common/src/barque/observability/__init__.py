"""Logs, metrics and health of every service. Used by shells only."""
