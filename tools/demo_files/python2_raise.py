"""Create a file that only its owner may read, in the Python of 2008."""

import os


def create(path):
    try:
        return os.open(path, os.O_CREAT | os.O_EXCL)
    except OSError:
        raise IOError, "cannot create " + path
