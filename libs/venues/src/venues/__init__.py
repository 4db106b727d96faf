"""Brokers, one package each: what their feed and their sender share. An SDK's objects never leave its package."""
