"""The tests: a mirror of both packages, and conformance, journeys, chaos and benchmarks."""
