"""How much of what callers say a run keeps."""

MAX_TAGS = 20
MAX_METADATA_KEYS = 256
MAX_METADATA_BYTES = 256 * 1024
"""Of the metadata as JSON, where it is changed by operations."""
MAX_STREAMS = 100
"""Announced for one run."""
