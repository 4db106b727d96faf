"""Interactive Brokers through ib_async: the session that a feed and a sender each have, contracts, codes, pacing, the adapter.

In:   `[ibkr]` of the configuration.   Out: `barque.venue.Venue` for the sender; sessions and contracts for the feed.
Not:  ib_async's objects beyond this package and the feed's own source.
"""
