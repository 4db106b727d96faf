"""Runnable fakes at the wire, and the seeded market of the demo."""
