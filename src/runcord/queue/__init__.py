"""The queue: claims under exact limits, leases, and the timers of runs."""
