"""MetaTrader 5: one client for two transports, its session, its clock, its symbols and codes, and the adapter for orders."""
