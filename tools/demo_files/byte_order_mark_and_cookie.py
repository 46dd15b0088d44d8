# -*- coding: latin-1 -*-
"""Start with the byte order mark of UTF-8 and declare Latin-1 all the same."""

ANSWER = 42
