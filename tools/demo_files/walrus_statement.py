"""Assign with the walrus where a plain assignment belongs."""

import os

home := os.path.expanduser("~")
