"""A broker over TCP whose exchange is the paper exchange: the smallest venue there can be, with faults on demand.

`server` is the broker with books of its own, `venue` the adapter a sender uses for it, `wire` what passes between them. A new
adapter can be modelled on it; the sender's contract suite, crash tests and benchmarks trade with it.
"""
