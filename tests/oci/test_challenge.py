import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.oci.challenge import Challenge, parse_challenges

WORDS = st.text("abcdefghijklmnopqrstuvwxyz-_", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(challenge):
    parameters = ",".join(f"{name}={quote(text)}" for name, text in challenge.parameters.items())
    return f"{challenge.scheme} {parameters}".strip()


@given(st.lists(st.builds(Challenge, WORDS, st.dictionaries(WORDS, VALUES, min_size=1, max_size=4)), max_size=3))
def test_what_is_written_is_read_again(challenges):
    assert parse_challenges([", ".join(map(written, challenges))]) == tuple(challenges)
    assert parse_challenges(map(written, challenges)) == tuple(challenges)


@given(st.text(max_size=200))
def test_no_header_is_too_strange(header):
    for challenge in parse_challenges([header]):
        assert challenge.scheme == challenge.scheme.lower()


def test_docker_hub():
    (challenge,) = parse_challenges(
        ['Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"']
    )
    assert challenge.scheme == "bearer"
    assert challenge.realm == "https://auth.docker.io/token"
    assert challenge.parameters["service"] == "registry.docker.io"
    assert challenge.scopes == ("repository:a/b:pull,push",)


@pytest.mark.parametrize(
    "header",
    [
        'Bearer realm="https://a/t",service="s" , Basic realm="r"',
        'bearer   REALM = "https://a/t" , service=s, basic realm=r',
        ', Bearer realm="https://a/t",service="s",, Basic realm="r" ,',
        'Bearer realm=https://a/t,service="s",Basic realm="r"',
    ],
)
def test_several_schemes_and_loose_spelling(header):
    bearer, basic = parse_challenges([header])
    assert (bearer.scheme, bearer.realm, bearer.parameters["service"]) == ("bearer", "https://a/t", "s")
    assert (basic.scheme, basic.realm) == ("basic", "r")


def test_a_scheme_alone_has_no_parameters():
    assert parse_challenges(["Negotiate, NTLM"]) == (Challenge("negotiate"), Challenge("ntlm"))


def test_the_first_of_a_repeated_parameter_counts():
    assert parse_challenges(['Bearer realm="https://a",realm="https://evil"'])[0].realm == "https://a"


def test_a_long_header_is_read_in_little_time():
    assert parse_challenges(['Bearer realm="' + "\\" * 100_000])[0].parameters == {}
