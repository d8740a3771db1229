"""Field tables carry what AMQP can carry, both ways; of what foreign programs send nothing fails."""

import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pika import data
from support.effort import examples

from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.model.field_table import DEPTH, decode_table, encode_table

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.builds(
        lambda digits, places: Decimal(digits).scaleb(-places),
        st.integers(-(2**31), 2**31 - 1),
        st.integers(0, 9),
    ),
    st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)).map(
        lambda moment: moment.replace(tzinfo=UTC, microsecond=0)
    ),
    texts,
    st.binary(max_size=40),
)
tables = st.dictionaries(
    texts,
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=5,
)


def encoded(*fields: tuple[bytes, bytes]) -> bytes:
    """A table of fields as they are: name, and type with value."""
    inner = b"".join(bytes([len(name)]) + name + value for name, value in fields)
    return struct.pack(">I", len(inner)) + inner


def has_float(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(has_float, value.values()))
    return any(map(has_float, value)) if isinstance(value, list) else isinstance(value, float)


@settings(max_examples=examples(300), deadline=None)
@given(tables)
def test_what_goes_out_comes_in(table: dict[str, Any]) -> None:
    wire = encode_table(table, "headers")
    assert decode_table(b"before" + wire + b"after", 6) == (table, 6 + len(wire))


@settings(max_examples=examples(300), deadline=None)
@given(tables)
def test_it_is_as_pika_has_it_but_for_floats(table: dict[str, Any]) -> None:
    pieces: list[bytes] = []
    if has_float(table):
        with pytest.raises(InvalidArgument, match=r"float.*use str, bytes, bool, int, Decimal"):
            encode_table(table, "arguments", floats=False)
        return
    data.encode_table(pieces, table)
    assert encode_table(table, "arguments", floats=False) == b"".join(pieces)


@settings(max_examples=examples(500), deadline=None)
@given(st.binary(max_size=60))
def test_whatever_comes_there_is_a_result(inner: bytes) -> None:
    wire = struct.pack(">I", len(inner)) + inner
    table, end = decode_table(wire + b"\x01", 0)
    assert end == len(wire)
    assert isinstance(table, dict)


def test_a_float_stays_one() -> None:
    wire = encode_table({"price": 1.5, "all": [0.1, -2.0]}, "headers")
    table, _ = decode_table(wire, 0)
    assert table == {"price": 1.5, "all": [0.1, -2.0]}
    assert isinstance(table["price"], float)
    single = decode_table(encoded((b"f", b"f" + struct.pack(">f", 1.5))), 0)[0]
    assert single == {"f": 1.5}


def test_text_and_times_that_python_does_not_have_are_there_raw() -> None:
    last = 2**64 - 1
    wire = encoded(
        (b"text", b"S\x00\x00\x00\x02\xff\xfe"),
        (b"\xff", b"t\x01"),
        (b"time", b"T" + struct.pack(">Q", last)),
    )
    assert decode_table(wire, 0)[0] == {"text": b"\xff\xfe", b"\xff": True, "time": last}


def test_of_a_type_that_nobody_knows_the_rest_of_its_table_is_bytes() -> None:
    inner = encoded((b"a", b"I\x00\x00\x00\x01"), (b"odd", b"?what"), (b"b", b"V"))
    wire = encoded((b"in", b"F" + inner), (b"after", b"t\x01"))
    assert decode_table(wire, 0)[0] == {"in": {"a": 1, "odd": b"?what\x01bV"}, "after": True}


def test_nesting_beyond_measure_does_not_exhaust_the_stack() -> None:
    wire = b""
    for _ in range(5000):
        wire = b"A" + struct.pack(">I", len(wire)) + wire
    value = decode_table(encoded((b"deep", wire)), 0)[0]["deep"]
    for _ in range(DEPTH):
        (value,) = value
    assert isinstance(value, bytes)


def test_decimals_are_exact_or_refused() -> None:
    wire = encode_table(
        {"tenth": Decimal("0.10"), "big": Decimal("1E+3"), "none": Decimal("-0.0")}, "headers"
    )
    assert decode_table(wire, 0)[0] == {"tenth": Decimal("0.1"), "big": 1000, "none": 0}
    with pytest.raises(InvalidArgument, match=r"headers\['fine'\] \(of type Decimal\)"):
        encode_table({"fine": Decimal("1.00000000000000000000000000000000001")}, "headers")


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ((1, 2), "list"),
        ({1, 2}, "list"),
        (2**64, "from -2.*63"),
        (float("nan"), "NaN"),
        (float("inf"), "infinity"),
        ("\ud800", "lone surrogate"),
        (bytearray(b"x"), "bytes"),
        (datetime.max.replace(tzinfo=UTC).replace(year=1), "1970"),
    ],
)
def test_what_cannot_be_sent_is_named_with_what_would_do(value: object, remedy: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"x\['a'\]\[1\] \(of type {type(value).__name__}\).*{remedy}"):
        encode_table({"a": [0, value]}, "x")
