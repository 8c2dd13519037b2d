"""homeport.yaml is checked before anything is done, and errors name the place."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import ConfigError, UsageError
from homeport.workflow.config import load_config, parse_config

FULL = b"""\
target: registry.example.com:5000/mirror
sources: [operator.yaml, rec/]
pullSecret:
  name: regcred
  namespaces: [redis, redis-test]
platforms: [linux/amd64]
redisEnterprise:
  operator: 7.2.4-7
  redis: 7.2.4-64
registries:
  docker.io:
    endpoint: http://127.0.0.1:5001
"""


def parse(text):
    return parse_config(text if isinstance(text, bytes) else text.encode(), "homeport.yaml")


def test_all_keys_are_read():
    config = parse(FULL)
    assert config.target == "registry.example.com:5000/mirror"
    assert config.sources == ("operator.yaml", "rec/")
    assert config.pull_secret.name == "regcred"
    assert config.pull_secret.namespaces == ("redis", "redis-test")
    assert config.redis_enterprise.operator == "7.2.4-7"
    assert config.redis_enterprise.redis == "7.2.4-64"
    assert config.registries["docker.io"].endpoint == "http://127.0.0.1:5001"


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("target: r.io\nsuorces: [a]\n", "homeport.yaml:2: suorces: not a known key", "Did you mean sources?"),
        (
            "target: r.io\nsources: [a]\npullSecret:\n  nme: x\n",
            "homeport.yaml:4: pullSecret.nme: not a known key",
            "name",
        ),
        (
            "target: r.io\nsources: [a]\nregistries:\n  a.io:\n    plainhttp: true\n",
            "registries.a.io.plainhttp",
            "Did you mean plainHttp?",
        ),
        ("target: r.io\ntarget: s.io\nsources: [a]\n", "homeport.yaml:2: target: said twice", ""),
        (
            "target: http://r.io\nsources: [a]\n",
            "homeport.yaml:1: target: 'http://r.io' is not a registry",
            "without a scheme",
        ),
        ("target: r.io\nsources: a\n", "homeport.yaml:2: sources: Expected `array`", ""),
        ("target: r.io\nsources: []\n", "homeport.yaml:2: sources: names nothing", ""),
        ("sources: [a]\n", "missing required field `target`", ""),
        (
            "target: r.io\nsources: [a]\nredisEnterprise:\n  operator: 7.2\n",
            "homeport.yaml:4: redisEnterprise.operator",
            "",
        ),
        ("target: r.io\nsources: [a]\npullSecret: {name: A_b}\n", "homeport.yaml:3: pullSecret.name", ""),
        ("target: r.io\nsources: [a]\npullSecret: {name: a, namespaces: [b, C]}\n", "pullSecret.namespaces[1]", ""),
        ("target: r.io\nsources: [a]\nplatforms: [amd64]\n", "homeport.yaml:3: platforms[0]", "linux/amd64"),
        (
            "target: r.io\nsources: [a]\nregistries:\n  docker.io: {mirrors: ['https://x']}\n",
            "homeport.yaml:4: registries.docker.io.mirrors[0]: 'https://x' is not a registry",
            "without a scheme",
        ),
        ("target: r.io\n  sources: [a]\n", "homeport.yaml:2: not YAML", ""),
        (f"target: r.io\nsources: {'[' * 30_000}\n", "homeport.yaml:2: nested more than 32 deep", ""),
        ("target: r.io\nsources: [-]\n", "homeport.yaml:2: sources: stdin cannot be a source", ""),
        (
            "target: r.io\nsources: [a]\nmap: [quay.io]\n",
            "homeport.yaml:3: map: --map 'quay.io' is not FROM=TO",
            "quay",
        ),
        ("- a\n", "a mapping with `target` and `sources` is expected", ""),
        ("", "a mapping with `target` and `sources` is expected", ""),
    ],
)
def test_a_wrong_file_is_refused_with_line_field_and_hint(text, says, hint):
    with pytest.raises(ConfigError) as raised:
        parse(text)
    assert says in str(raised.value)
    assert hint in raised.value.hint


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_config(tmp_path / "homeport.yaml")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_config_or_a_config_error(content):
    with contextlib.suppress(ConfigError):
        parse(content)
