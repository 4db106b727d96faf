"""What every live feed does the same way, whatever broker it listens to.

A `MarketSource` speaks to the broker; a `FeedCore` decides, from what was heard and the time, what is to be said, asked for and
filled; `LiveFeed` is the shell that drives the two and writes to the bus. A new feed is a new `MarketSource`.
"""
