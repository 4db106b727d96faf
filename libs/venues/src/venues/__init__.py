"""Brokers, one package each: what their feed and their sender share. An SDK's objects never leave the file that calls it."""
