"""What people write on the command line is read one way, or refused."""

import base64
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.cli.outcome import USAGE, CommandError
from vaultcore.cli.words import (
    Encoding,
    Identifier,
    decode_text,
    encode_text,
    read_base64,
    read_date,
    read_identifier,
    read_tags,
    read_truth,
    read_words,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2030-01-31T12:00:00Z", 1_896_091_200),
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1700000000", 1_700_000_000),
    ],
)
def test_a_date_is_read_as_utc(text: str, seconds: int) -> None:
    assert read_date(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2030-13-01", "2030-01-31T25:00:00Z", "-5", "1e9"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(CommandError) as refused:
        read_date(text)
    assert refused.value.status == USAGE


def test_tags_split_at_the_first_equals_sign() -> None:
    assert read_tags(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


def test_an_empty_word_means_no_tags_and_absence_leaves_them() -> None:
    assert read_tags([""]) == {}
    assert read_tags(None) is None


def test_a_tag_without_equals_sign_is_refused() -> None:
    with pytest.raises(CommandError, match="key=value"):
        read_tags(["oops"])


def test_lists_and_truths() -> None:
    assert read_words(["get", "list"]) == ["get", "list"]
    assert read_words([""]) == []
    assert read_words(None) is None
    assert (read_truth("true"), read_truth("false"), read_truth(None)) == (True, False, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://dev.vault.localhost:8443/secrets/a", Identifier("dev", "a", "")),
        ("https://dev.vault.example/keys/a/0f", Identifier("dev", "a", "0f")),
        ("https://dev.vault.example/deletedsecrets/a", Identifier("dev", "a", "")),
        ("https://dev.vault.example/certificates/a/", Identifier("dev", "a", "")),
    ],
)
def test_an_identifier_names_vault_object_and_version(text: str, expected: Identifier) -> None:
    assert read_identifier(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "http://dev.vault.example/secrets/a",
        "https://dev.vault.example/other/a",
        "https://dev.vault.example/secrets",
        "https://dev.vault.example/secrets/",
        "https://dev.vault.example/secrets/a/b/c",
        "https:///secrets/a",
        "a",
        "",
    ],
)
def test_what_is_no_identifier_is_refused(text: str) -> None:
    with pytest.raises(CommandError):
        read_identifier(text)


@given(st.text(st.characters(max_codepoint=127)), st.sampled_from(get_args(Encoding)))
def test_a_file_survives_its_encoding(text: str, encoding: str) -> None:
    data = text.encode("utf-8" if encoding in {"base64", "hex"} else encoding)
    assert encode_text(decode_text(data, encoding), encoding) == data


@given(st.binary(max_size=200), st.sampled_from(["base64", "hex"]))
def test_a_binary_file_survives(data: bytes, encoding: str) -> None:
    assert encode_text(decode_text(data, encoding), encoding) == data


def test_a_file_in_another_encoding_is_refused_without_its_contents() -> None:
    with pytest.raises(CommandError) as refused:
        decode_text(b"hunter2 \xff\xfe", "utf-8")
    assert "hunter2" not in str(refused.value)
    with pytest.raises(CommandError) as refused:
        encode_text("hunter2 !", "base64")
    assert "hunter2" not in str(refused.value)
    # The cause would show the contents in a traceback.
    assert refused.value.__suppress_context__


@given(st.binary(max_size=100))
def test_base64_is_read_in_both_alphabets(data: bytes) -> None:
    assert read_base64(base64.b64encode(data).decode(), "--value") == data
    assert read_base64(base64.urlsafe_b64encode(data).rstrip(b"=").decode(), "--value") == data


@pytest.mark.parametrize("text", ["a", "a b c", "ä", "abc!", "ab=c"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="--value is not base64"):
        read_base64(text, "--value")
