"""How a worker pool is scaled: pure decisions, without a clock and without I/O. Times are seconds of any clock that only
goes forward."""
