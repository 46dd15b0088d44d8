"""The eventsourcing library's own tests of application recorders, run against the ledger's."""

from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO

import pytest
from eventsourcing.tests.persistence import ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase

from runcord.ids import new_id
from runcord.ledger.recorder import LedgerRecorder


class _OverTheLedger:
    @pytest.fixture(autouse=True)
    def use(self, recorder: LedgerRecorder) -> Iterator[None]:
        self.recorder = recorder
        with redirect_stdout(StringIO()):  # they print their rates
            yield

    def create_recorder(self) -> LedgerRecorder:
        return self.recorder

    def new_originator_id(self) -> str:
        return new_id("run")


class TestLedgerRecorder(_OverTheLedger, ApplicationRecorderTestCase[LedgerRecorder]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestNonInterleaving(_OverTheLedger, NonInterleavingNotificationIDsBaseCase):
    pass
