"""All operations: the one list that the router, the OpenAPI document and the tests of isolation are made from.

The order matters where paths overlap: `/v1/runs/dlq` has to be met before `/v1/runs/{run_id}`.
"""

from runcord.http.operation import Operation

OPERATIONS: tuple[Operation, ...] = ()
