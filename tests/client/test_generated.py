"""The synchronous SDK is what its generator makes of the asynchronous one."""

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import runcord.client as sdk
import runcord.worker as worker_sdk

GENERATOR = Path(__file__).resolve().parents[2] / "tools" / "generate_client.py"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_client", GENERATOR)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_committed_is_current(generator: ModuleType) -> None:
    assert generator.stale(generator.generated()) == []


def test_a_changed_or_orphaned_file_is_noticed(generator: ModuleType) -> None:
    files = generator.generated()
    changed, removed, *_ = sorted(files)
    altered = {path: text for path, text in files.items() if path != removed} | {changed: files[changed] + "\n"}
    assert generator.stale(altered) == sorted([changed, removed])


@pytest.mark.parametrize(
    ("asynchronous", "synchronous"),
    [
        (sdk.AsyncAttempt, sdk.Attempt),
        (sdk.AsyncPager, sdk.Pager),
        (worker_sdk.AsyncRunContext, worker_sdk.RunContext),
        (worker_sdk.AsyncRunState, worker_sdk.RunState),
    ],
)
def test_both_halves_have_the_same_methods_and_none_is_left_asynchronous(asynchronous: type, synchronous: type) -> None:
    def methods(cls: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(cls, callable) if not name.startswith("_")}

    assert methods(asynchronous) == methods(synchronous) != set()
    assert not any(inspect.iscoroutinefunction(getattr(synchronous, name)) for name in methods(synchronous))
