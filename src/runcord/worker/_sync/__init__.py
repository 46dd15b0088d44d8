# Made from _async/__init__.py by tools/generate_client.py: edit that file.
"""The synchronous context, made from the asynchronous one."""
