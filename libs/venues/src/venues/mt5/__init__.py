"""MetaTrader 5, in process on Windows and over RPyC elsewhere."""
