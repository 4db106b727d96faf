"""Builders, embedded servers and assertions that tests share."""
