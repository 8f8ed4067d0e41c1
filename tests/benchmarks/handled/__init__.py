"""Handler modules for the measured Postern, one for each kind of work."""
