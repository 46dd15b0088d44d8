"""Command handlers: from what somebody wants to the events of one or several streams.

`decide` rules on one run; what concerns several (a trigger and its job, a cancel and its descendants, a child and
the parent that waits for it) is put together here, under the ledger's lock and in one transaction.
"""
