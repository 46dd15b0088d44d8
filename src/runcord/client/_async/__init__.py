"""The asynchronous client. `tools/generate_client.py` makes the other one from it."""
