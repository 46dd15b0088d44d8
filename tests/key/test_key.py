"""What an API key is, who may make or rotate it, and when it ends."""

from datetime import timedelta

import pytest

from runcord.errors import Conflict, Forbidden, KeyNotActive, NotFound
from runcord.key import commands as c
from runcord.key import events as e
from runcord.testing.scenario import KEY_ID, START, given, moment

CREATED = e.KeyCreated("ci", "strait_5e5e5", ("runs:read", "jobs:read"))
EXPIRING = e.KeyCreated("ci", "strait_5e5e5", ("runs:read",), expires_at=moment(3600))
ROTATED = e.KeyRotated("key_next", moment(601))


def test_a_key_is_made_by_somebody_for_a_time():
    command = c.CreateKey("ci", "strait_5e5e5", ("runs:read",), expires_in_days=7, rotation_interval_days=2)
    key = given().when(command).then_follows().key
    assert (key.key_id, key.version, key.name, key.scopes) == (KEY_ID, 1, "ci", ("runs:read",))
    assert (key.created_at, key.created_by) == (START, "test")
    assert (key.expires_at, key.ends_at) == (START + timedelta(days=7), START + timedelta(days=7))
    assert key.next_rotation_at == START + timedelta(days=2)


def test_a_key_is_made_once():
    given(CREATED).when(c.CreateKey("ci", "x", ())).then_refused(Conflict)


@pytest.mark.parametrize("command", [c.RotateKey("key_next", 1), c.RevokeKey()])
def test_a_key_that_is_not_there_cannot_be_changed(command: c.Command):
    given().when(command).then_refused(NotFound)


@pytest.mark.parametrize("grantor", [None, frozenset({"*"}), frozenset({"runs:read", "jobs:read", "runs:work"})])
def test_who_has_the_scopes_may_grant_them(grantor: frozenset[str] | None):
    given().when(c.CreateKey("ci", "x", ("runs:read", "jobs:read"), grantor=grantor)).then_follows()
    given(CREATED).when(c.RotateKey("key_next", 1, grantor)).then_follows()


@pytest.mark.parametrize("grantor", [frozenset[str](), frozenset({"runs:read", "api-keys:manage"})])
def test_nobody_grants_what_they_do_not_have(grantor: frozenset[str]):
    wanted = c.CreateKey("ci", "x", ("runs:read", "jobs:read"), grantor=grantor)
    given().when(wanted).then_refused(Forbidden)
    given().when(c.CreateKey("ci", "x", ("*",), grantor=grantor)).then_refused(Forbidden)
    # A rotation shows a key that may do what the old one may: that is a grant too.
    given(CREATED).when(c.RotateKey("key_next", 1, grantor)).then_refused(Forbidden, contains="does not have")


def test_a_rotated_key_goes_on_until_its_grace_is_over():
    key = given(CREATED).when(c.RotateKey("key_next", 10), at=1).then(ROTATED).key
    assert (key.rotated_to, key.grace_ends_at) == ("key_next", moment(601))
    assert not key.has_ended(moment(600))
    assert key.has_ended(moment(601))


def test_a_rotation_without_grace_ends_the_key_at_once():
    key = given(CREATED).when(c.RotateKey("key_next", 0), at=5).then_follows().key
    assert key.has_ended(moment(5))


def test_a_grace_does_not_outlast_the_key():
    key = given(EXPIRING).when(c.RotateKey("key_next", 600), at=60).then_follows().key
    assert key.grace_ends_at == key.ends_at == moment(3600)


def test_only_a_key_that_is_in_force_can_be_rotated():
    again = c.RotateKey("key_third", 10)
    given(CREATED, ROTATED).when(again).then_refused(KeyNotActive, contains="key_next")
    given(CREATED, e.KeyRevoked()).when(again).then_refused(KeyNotActive, contains="revoked")
    given(EXPIRING).when(again, at=3600).then_refused(KeyNotActive, contains="expired")
    given(EXPIRING).when(again, at=3599).then_follows()


def test_a_revoked_key_ends_at_once_also_within_its_grace():
    key = given(CREATED, ROTATED).when(c.RevokeKey(), at=60).then(e.KeyRevoked()).key
    assert (key.revoked_at, key.revoked_by, key.ends_at) == (moment(60), "test", moment(60))


def test_a_key_is_revoked_once():
    given(CREATED, e.KeyRevoked()).when(c.RevokeKey()).then_nothing()


@pytest.mark.parametrize("event", [ROTATED, e.KeyRevoked()])
def test_nobody_needs_to_rotate_a_key_that_is_replaced_or_revoked(event: e.Event):
    born = e.KeyCreated("ci", "x", (), rotation_interval_days=1)
    assert given(born).key.next_rotation_at is not None
    assert given(born, event).key.next_rotation_at is None


def test_what_cannot_be_still_folds():
    assert given(e.KeyRevoked()).state is None
    assert given(CREATED, CREATED).key.version == 2
