"""The forms of keys: how each begins, and how one is told by its text."""

import re
from typing import get_args

import pytest

from runcord.errors import Invalid
from runcord.handling.sealing import Sealer
from runcord.http.credentials import new_key
from runcord.key import commands as c
from runcord.key.form import Environment, Form, form_of, is_signed_with
from runcord.testing.scenario import given

SEALER = Sealer(b"installation")


@pytest.mark.parametrize("environment", get_args(Environment))
@pytest.mark.parametrize("form", get_args(Form))
def test_a_new_key_has_the_form_it_was_made_in(form: Form, environment: Environment) -> None:
    shapes = {
        "trigger": rf"tr_{environment}_(?!sk_)[0-9a-zA-Z]{{48}}",
        "trigger-sk": rf"tr_{environment}_sk_[0-9a-zA-Z]{{24}}",
        "trigger-pk": rf"pk_{environment}_[0-9a-zA-Z]{{24}}",
    }
    key, known_by = new_key("proj", SEALER, form=form, environment=environment)
    assert re.fullmatch(shapes[form], key)
    assert form_of(key) == (form, environment) == (known_by.form, known_by.environment)
    assert (known_by.sealed is not None) == is_signed_with(form) == (form != "trigger-pk")
    assert key not in repr(known_by)


def test_a_key_is_kept_hashed_only_unless_clients_sign_with_it() -> None:
    key, known_by = new_key("proj", SEALER)
    assert key.startswith("strait_")
    assert (known_by.sealed, known_by.form, known_by.environment) == (None, None, None)


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ("tr_dev_given", "trigger"),
        ("tr_dev_sk_" + "a" * 24, "trigger-sk"),
        ("tr_dev_sk_" + "a" * 23, "trigger"),
        ("tr_dev_sk_" + "a" * 25, "trigger"),
        ("tr_dev_sk_" + "a" * 23 + "-", "trigger"),
        ("tr_pat_somebody", None),
        ("tr_devx", None),
        ("pk_dev_given", "trigger-pk"),
        ("pk_given", "trigger-pk"),
        ("strait_" + "0" * 64, None),
        ("whatever", None),
    ],
)
def test_the_form_of_a_given_key_is_what_clients_take_it_for(key: str, form: Form | None) -> None:
    assert form_of(key)[0] == form
    assert new_key("proj", SEALER, given=key)[1].form == form


def test_a_public_key_reads_runs_and_nothing_else() -> None:
    given().when(c.CreateKey("web", "pk_dev_12345", ("runs:read",), form="trigger-pk")).then_follows()
    for scopes in (("*",), (), ("runs:read", "runs:write")):
        given().when(c.CreateKey("web", "pk_dev_12345", scopes, form="trigger-pk")).then_refused(Invalid)
