"""Runcord's benchmarks: product, floor and peer in turn, in one run, on one durable database.

A *floor* is the least code that keeps the same record: a fair ceiling for the product. A ratio of two medians of one
run says something on a machine that is shared; a figure alone does not.
"""
