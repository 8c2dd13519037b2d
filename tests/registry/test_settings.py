import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.errors import UsageError
from homeport.registry.settings import Endpoint, Settings, split_port

NONE: dict[str, str] = {}


def test_docker_hub_answers_at_another_host():
    endpoint = Settings.of(environment=NONE).endpoint("docker.io")
    assert endpoint == Endpoint("docker.io", "registry-1.docker.io", ("https",))
    assert endpoint.credential_name == "docker.io"
    assert endpoint.shown == "docker.io"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:5000", "127.9.0.1", "localhost", "localhost:80", "[::1]:5000", "a.localhost"]
)
def test_loopback_is_tried_over_tls_and_then_plain(host):
    assert Settings.of(environment=NONE).endpoint(host).schemes == ("https", "http")


@pytest.mark.parametrize(
    "host", ["registry.example", "10.0.0.1:5000", "localhost.example", "[fd00::1]:5000", "128.0.0.1"]
)
def test_all_others_are_asked_over_tls_alone(host):
    assert Settings.of(environment=NONE).endpoint(host).schemes == ("https",)
    assert Settings.of(plain_http=[host], environment=NONE).endpoint(host).schemes == ("http",)


def test_an_override_takes_scheme_host_and_credentials_of_its_own():
    settings = Settings.of(endpoints=["docker.io=http://127.0.0.1:5001"], environment=NONE)
    endpoint = settings.endpoint("docker.io")
    assert endpoint == Endpoint("docker.io", "127.0.0.1:5001", ("http",))
    assert endpoint.credential_name == "127.0.0.1:5001"
    assert endpoint.shown == "docker.io (at 127.0.0.1:5001)"
    assert settings.endpoint("quay.io") == Endpoint("quay.io", "quay.io")


def test_what_is_typed_wins_over_the_environment():
    environment = {"HOMEPORT_ENDPOINTS": "docker.io=https://a.example, quay.io=https://b.example ,"}
    settings = Settings.of(endpoints=["quay.io=https://c.example/"], environment=environment)
    assert settings.endpoint("docker.io").host == "a.example"
    assert settings.endpoint("quay.io").host == "c.example"


@pytest.mark.parametrize(
    "text",
    [
        "docker.io",
        "docker.io=",
        "docker.io=cache.example",
        "=https://a",
        "docker.io=ftp://a",
        "docker.io=https://a/path",
        "docker.io=https://u:p@a",
        "doc ker=https://a",
        "docker.io=https://",
    ],
)
def test_an_override_that_says_nothing_is_refused(text):
    with pytest.raises(UsageError, match="where a registry is reached"):
        Settings.of(endpoints=[text], environment=NONE)


@pytest.mark.parametrize("host", ["https://registry.example", "registry.example/path", "", "a b"])
def test_hosts_are_hosts(host):
    for name in ("plain_http", "insecure"):
        with pytest.raises(UsageError, match="is not a registry's host"):
            Settings.of(**{name: [host]}, environment=NONE)


def test_a_ca_file_is_there(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        Settings.of(ca_files=[tmp_path / "ca.pem"], environment=NONE)


def test_certificates_are_found_as_docker_and_podman_find_them(tmp_path):
    docker, podman = tmp_path / "docker", tmp_path / "podman"
    folder = docker / "registry.example:5000"
    folder.mkdir(parents=True)
    for name in ("ca.crt", "other.crt", "client.cert", "client.key", "alone.cert", "notes.txt"):
        (folder / name).touch()
    settings = Settings(certs_dirs=(str(podman), str(docker)))
    found = settings.certificates("registry.example:5000")
    assert [file.name for file in found.authorities] == ["ca.crt", "other.crt"]
    assert [(a.name, b.name) for a, b in found.clients] == [("client.cert", "client.key")]
    assert settings.certificates("registry.example").authorities == ()

    (podman / "registry.example:5000").mkdir(parents=True)
    assert settings.certificates("registry.example:5000").authorities == (), "the first folder counts"


def test_docker_hubs_certificates_stand_under_its_name(tmp_path):
    (tmp_path / "docker.io").mkdir()
    (tmp_path / "docker.io" / "ca.crt").touch()
    assert Settings(certs_dirs=(str(tmp_path),)).certificates("registry-1.docker.io").authorities


def test_verification_is_off_only_for_what_was_named():
    settings = Settings.of(insecure=["a.example:5000"], environment=NONE)
    assert settings.is_insecure("a.example:5000")
    assert not settings.is_insecure("a.example")
    assert not settings.is_insecure("b.example:5000")


@given(st.from_regex(r"([a-z]{1,9}|\[[0-9a-f:]{2,9}\])", fullmatch=True), st.none() | st.integers(1, 65535))
def test_ports_are_split_off(name, port):
    assert split_port(f"{name}:{port}" if port else name) == (name, port)
