"""Real things for tests: sockets, servers, senders, upstreams. Nothing here imports from a folder of tests."""
