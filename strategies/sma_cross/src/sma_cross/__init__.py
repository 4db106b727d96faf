"""Crossing of two moving averages."""
