"""Publishes recorded files or the seeded market as a feed."""
