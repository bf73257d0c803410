"""Reading JSON back: by the short way where that will do, and to the same end."""

from __future__ import annotations

import json

import pytest

from pq_core.payload import load


@pytest.mark.parametrize("text", ['{"a":[1,2.5,"é"]}', " [1] ", '\n{"a": 1}', "null", "1 ", b'{"a":1}', '"\\u00e9"'])
def test_a_text_is_read_as_the_standard_library_reads_it(text: str | bytes) -> None:
    assert load(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", "{", "1 2", "[1,]", '{"a":1}x', "nul"])
def test_what_is_no_json_is_refused_as_the_standard_library_refuses_it(text: str) -> None:
    with pytest.raises(json.JSONDecodeError) as ours:
        load(text)
    with pytest.raises(json.JSONDecodeError) as theirs:
        json.loads(text)
    assert str(ours.value) == str(theirs.value)
