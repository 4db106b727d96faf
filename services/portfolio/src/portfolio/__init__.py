"""Keeps the books in Postgres."""
