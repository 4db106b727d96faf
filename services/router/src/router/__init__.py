"""Turns signals into checked orders, and sends them to brokers."""
