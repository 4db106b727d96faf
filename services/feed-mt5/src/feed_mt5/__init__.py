"""The feed of MetaTrader 5."""
