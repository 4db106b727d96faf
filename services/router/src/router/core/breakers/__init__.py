"""Circuit breakers: what stops a book or a strategy before a loss or a fault grows, and what lets it go on."""
