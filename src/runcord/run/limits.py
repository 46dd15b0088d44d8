"""How much of what callers say a run keeps."""

MAX_TAGS = 20
MAX_METADATA_KEYS = 256
MAX_METADATA_BYTES = 256 * 1024
"""Of the metadata as JSON, where it is changed by operations."""
MAX_ANCESTORS = 100
"""How far up from a run its family is followed to find the first of it."""
MAX_STREAMS = 100
"""Announced for one run."""
