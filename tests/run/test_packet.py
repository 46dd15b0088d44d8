"""Packets come back byte for byte, and are plain JSON to everybody else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcord.errors import Invalid
from runcord.run.packet import NOTHING, PLAIN, SUPERJSON, TEXT, Packet, read, text_of

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
spacings = st.sampled_from([(",", ":"), (", ", ": ")])


@given(values, spacings, st.none() | st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2))
def test_superjson_comes_back_as_it_came(value: object, spacing: tuple[str, str], meta: object):
    envelope = {"json": value} | ({} if meta is None else {"meta": meta})
    text = json.dumps(envelope, separators=spacing)
    payload, packet = read(text, SUPERJSON)
    assert payload == value
    assert text_of(payload, packet) == text


@given(st.text())
def test_text_comes_back_as_it_came(text: str):
    assert read(text, TEXT) == (text, Packet(TEXT))
    assert text_of(text, Packet(TEXT)) == text


@given(values, spacings)
def test_json_comes_back_as_it_came(value: object, spacing: tuple[str, str]):
    text = json.dumps(value, separators=spacing)
    payload, packet = read(text, PLAIN)
    assert payload == value
    if payload is not None:
        assert text_of(payload, packet) == text


def test_what_a_client_in_javascript_writes_for_plain_values_is_not_kept_twice():
    text = '{"json":{"name":"Zoë","n":[1,2.5,null,true],"nested":{"a":{}}}}'
    assert read(text, SUPERJSON)[1] == Packet(SUPERJSON)


def test_what_the_plain_payload_does_not_tell_is_kept():
    text = '{"json":{"at":"2026-01-01T00:00:00.000Z"},"meta":{"values":{"at":["Date"]}}}'
    assert read(text, SUPERJSON) == ({"at": "2026-01-01T00:00:00.000Z"}, Packet(SUPERJSON, text))


def test_a_payload_that_nobody_wrote_as_a_packet_is_json():
    assert text_of({"a": "ü"}, NOTHING) == '{"a":"ü"}'
    assert text_of(None, NOTHING) is None
    assert text_of(None, Packet(SUPERJSON)) == '{"json":null}'


def test_a_type_that_is_not_known_is_a_text():
    assert read("<a/>", "application/xml") == ("<a/>", Packet("application/xml"))


@pytest.mark.parametrize("text", ["", "{", '"text"', "[1]", "1"])
def test_what_is_no_superjson_is_refused(text: str):
    with pytest.raises(Invalid, match="super\\+json"):
        read(text, SUPERJSON)
