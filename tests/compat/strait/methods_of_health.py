"""`client.health`."""

import pytest
from strait import DecodeError

from .table import drives
from .world import World


@drives("health.list")
async def the_server_is_alive(w: World) -> None:
    assert await w.call("health.list") == {"status": "ok"}


@drives("health.get_ready")
async def the_server_is_ready(w: World) -> None:
    assert (await w.call("health.get_ready"))["status"] == "up"


@drives("health.list_metrics")
async def metrics_are_text_which_the_client_cannot_read(w: World) -> None:
    with pytest.raises(DecodeError) as refused:
        await w.call("health.list_metrics")
    assert "# TYPE " in refused.value.body
