"""Barque's common library: messages, nodes, the bus, strategies' API, configuration, observability."""
