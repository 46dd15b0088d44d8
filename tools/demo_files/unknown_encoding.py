# -*- coding: klingon-8 -*-
"""Declare an encoding that no codec answers to."""

GREETING = "nuqneH"
