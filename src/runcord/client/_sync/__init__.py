# Made from _async/__init__.py by tools/generate_client.py: edit that file.
"""The synchronous client, made from the asynchronous one."""
