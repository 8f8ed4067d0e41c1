"""Benchmarks: figures to read, never asserted. What they count on the way is checked."""
