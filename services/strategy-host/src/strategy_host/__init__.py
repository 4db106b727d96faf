"""Hosts user strategies, one node per configured instance."""
