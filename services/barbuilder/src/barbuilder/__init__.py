"""Turns quotes and trades into bars and marks."""
