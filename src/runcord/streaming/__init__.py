"""Following runs: their events and their chunks, from any place on and then live."""
