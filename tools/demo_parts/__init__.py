"""The parts of `tools/demo`: what it runs, how it kills, what it reads back and how it tells."""
