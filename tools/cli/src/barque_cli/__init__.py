"""The barque command."""
