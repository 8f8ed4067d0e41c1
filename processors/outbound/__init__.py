"""Calls to upstreams, as an onion: auth, keys and correlation, the ledger, classification."""
