"""The asynchronous context. `tools/generate_client.py` makes the other one from it."""
