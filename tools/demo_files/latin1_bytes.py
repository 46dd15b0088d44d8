# -*- coding: utf-8 -*-
"""Name a café in bytes that are Latin-1, under a cookie that says UTF-8."""

PLACES = ["Café de Flore", "Bräustüberl", "Señor Pérez"]
