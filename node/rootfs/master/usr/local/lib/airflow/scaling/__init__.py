"""How a worker pool is scaled: pure decisions, without clock and I/O.

Times are seconds of any clock that only goes forward.
"""
