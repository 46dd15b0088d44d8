"""Quote as a word processor does."""

TITLE = “A run’s whole life on the record”
