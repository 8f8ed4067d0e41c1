"""Whole journeys: the real service as a process of its own, from a vendor's POST to the effect at an upstream."""
