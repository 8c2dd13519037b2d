"""Passwords of clouds, from stand-ins that answer as the clouds' documentation says."""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from homeport.errors import AuthenticationError, ConfigError, UsageError
from homeport.registry.clouds import CloudCredentials
from homeport.registry.credentials import Credential, OneCredential
from homeport.registry.transport import Request
from tests.kit.scripted import Reply, scripted

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
AZURE = {"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "me", "AZURE_CLIENT_SECRET": "secret"}


class Answer:
    reach = None

    def __init__(self, status: int, body: object) -> None:
        self.status, self.headers = status, {}
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()

    def read(self, most: int) -> bytes:
        return self._body[:most]

    def close(self) -> None:
        pass


class Cloud:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self.asked: list[Request] = []
        self.now = NOW
        self._answer = answer

    def send(self, request: Request) -> Answer:
        self.asked.append(request)
        return self._answer(request)

    def resolve(self, registry: str, environment: Mapping[str, str], stored: Credential | None = None):
        credentials = CloudCredentials(OneCredential(stored), self.send, environment, lambda: self.now)
        return credentials, credentials.resolve(registry)


def ecr(_: Request) -> Answer:
    token = base64.b64encode(b"AWS:password").decode()
    return Answer(200, {"authorizationData": [{"authorizationToken": token, "expiresAt": 1.7e9, "proxyEndpoint": ""}]})


def azure(request: Request) -> Answer:
    form = parse_qs(request.body.decode())
    if request.url == "https://login.microsoftonline.com/tenant/oauth2/v2.0/token":
        assert form["client_secret"] == ["secret"]
        return Answer(200, {"access_token": "access"})
    assert request.url == "https://team.azurecr.io/oauth2/exchange"
    assert (form["service"], form["access_token"]) == (["team.azurecr.io"], ["access"])
    return Answer(200, {"refresh_token": "refresh"})


@pytest.mark.parametrize(
    ("session", "signature"),
    [
        ("", "76580cc33b7daf3394598ac913a3e1ea12670ff8163d09cb89a9f8f060f4edf0"),
        ("session", "df5b0ba71af61c9fbc82ef078592d73d1ae0a01cfd8c58e0427c3009e328ed51"),
    ],
)
def test_ecr_is_asked_as_botocore_asks(session: str, signature: str):
    """The signatures are those of botocore for the same request, keys and moment."""
    cloud = Cloud(ecr)
    _, found = cloud.resolve(ECR, {**AWS, "HOME": "/none", **({"AWS_SESSION_TOKEN": session} if session else {})})
    assert (found.username, found.secret) == ("AWS", "password")
    (asked,) = cloud.asked
    assert asked.url == "https://api.ecr.eu-west-1.amazonaws.com/"
    assert asked.headers["Authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    ("registry", "host"),
    [
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ecr-fips.us-gov-west-1.amazonaws.com"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "api.ecr.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_every_partition_has_its_host(registry: str, host: str):
    cloud = Cloud(ecr)
    cloud.resolve(registry, {**AWS, "HOME": "/none"})
    assert cloud.asked[0].url == f"https://{host}/"


def test_keys_come_from_the_shared_file_too(tmp_path: Path):
    file = tmp_path / ".aws" / "credentials"
    file.parent.mkdir()
    file.write_text(
        "[default]\naws_access_key_id=A\naws_secret_access_key=a%b\n[other]\naws_access_key_id=B\naws_secret_access_key=b\n"
    )
    for profile, key in (("", "A"), ("other", "B")):
        cloud = Cloud(ecr)
        cloud.resolve(ECR, {"HOME": str(tmp_path), "AWS_PROFILE": profile})
        assert f"Credential={key}/" in cloud.asked[0].headers["Authorization"]


def test_a_password_is_asked_for_once_an_hour():
    cloud = Cloud(ecr)
    credentials, _ = cloud.resolve(ECR, {**AWS, "HOME": "/none"})
    credentials.resolve(ECR, "other")
    assert len(cloud.asked) == 1
    cloud.now += timedelta(hours=2)
    credentials.resolve(ECR)
    assert len(cloud.asked) == 2


def test_azure_gives_an_identity_token_for_a_service_principal():
    _, found = Cloud(azure).resolve("team.azurecr.io", AZURE)
    assert (found.secret, found.is_identity_token) == ("refresh", True)


def test_azure_that_gives_no_token_is_an_error():
    with pytest.raises(AuthenticationError, match="its answer holds none"):
        Cloud(lambda _: Answer(200, {"access_token": "access"})).resolve("team.azurecr.io", AZURE)


def test_a_service_account_of_google_is_its_own_password(tmp_path: Path):
    file = tmp_path / "key.json"
    file.write_text('{"type": "service_account", "private_key": "x"}')
    _, found = Cloud(ecr).resolve("europe-docker.pkg.dev", {"GOOGLE_APPLICATION_CREDENTIALS": str(file)})
    assert (found.username, found.secret) == ("_json_key", file.read_text())
    file.write_text('{"type": "authorized_user"}')
    assert Cloud(ecr).resolve("gcr.io", {"GOOGLE_APPLICATION_CREDENTIALS": str(file)})[1] is None


def test_a_pod_at_google_has_a_token_until_it_ends():
    answers = iter([{"access_token": "one", "expires_in": 300}, {"access_token": "two", "expires_in": 3599}])
    with scripted(lambda _seen: Reply(200, {}, json.dumps(next(answers)).encode())) as metadata:
        cloud = Cloud(ecr)
        credentials, found = cloud.resolve("gcr.io", {"GCE_METADATA_HOST": metadata.host, "HOME": "/none"})
        assert (found.username, found.secret) == ("oauth2accesstoken", "one")
        cloud.now += timedelta(seconds=200)
        assert credentials.resolve("gcr.io").secret == "one"
        cloud.now += timedelta(seconds=60)
        assert credentials.resolve("gcr.io").secret == "two"
    assert metadata.seen[0].headers["metadata-flavor"] == "Google"
    assert metadata.seen[0].path == "/computeMetadata/v1/instance/service-accounts/default/token"


def test_a_pod_that_is_not_at_google_is_nobody_there():
    with scripted(lambda _seen: Reply(404)) as other:
        _, found = Cloud(ecr).resolve("gcr.io", {"GCE_METADATA_HOST": other.host, "HOME": "/none"})
    assert found is None


def test_what_is_stored_comes_first():
    cloud = Cloud(ecr)
    stored = Credential("me", "mine")
    assert cloud.resolve(ECR, {**AWS}, stored)[1] == stored
    assert not cloud.asked


@pytest.mark.parametrize("registry", ["docker.io", "example.com", "1.dkr.ecr.x.amazonaws.com", f"{ECR}.evil.example"])
def test_no_other_registry_gets_the_credentials_of_a_cloud(registry: str):
    cloud = Cloud(ecr)
    assert cloud.resolve(registry, {**AWS, **AZURE, "HOME": "/none"})[1] is None
    assert not cloud.asked


@pytest.mark.parametrize("registry", [ECR, "team.azurecr.io", "gcr.io"])
def test_without_credentials_one_is_nobody(registry: str):
    cloud = Cloud(ecr)
    assert cloud.resolve(registry, {"HOME": "/none"})[1] is None
    assert not cloud.asked


@pytest.mark.parametrize(
    "answer",
    [Answer(403, {"message": "no"}), Answer(200, b"<html>"), Answer(200, {"authorizationData": []})],
)
def test_a_refusal_is_said_without_a_secret(answer: Answer):
    with pytest.raises(AuthenticationError, match="the cloud gives no password") as caught:
        Cloud(lambda _: answer).resolve(ECR, {**AWS, "HOME": "/none"})
    assert AWS["AWS_SECRET_ACCESS_KEY"] not in str(caught.value) + caught.value.hint


def test_a_pod_exchanges_its_token_for_the_keys_of_its_role(tmp_path: Path):
    (tmp_path / "token").write_text("pod-token\n")
    keys = b"<AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s/e+c</SecretAccessKey><SessionToken>sess</SessionToken>"

    def answer(request: Request) -> Answer:
        return Answer(200, b"<R>" + keys + b"</R>") if "sts." in request.url else ecr(request)

    cloud = Cloud(answer)
    role = {"AWS_ROLE_ARN": "arn:aws:iam::1:role/me", "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")}
    _, found = cloud.resolve(ECR, {**role, "HOME": "/none"})
    assert found.secret == "password"
    sts, asked = cloud.asked
    assert sts.url == "https://sts.eu-west-1.amazonaws.com/"
    assert parse_qs(sts.body.decode()) == {
        "Action": ["AssumeRoleWithWebIdentity"],
        "Version": ["2011-06-15"],
        "RoleArn": ["arn:aws:iam::1:role/me"],
        "RoleSessionName": ["homeport"],
        "WebIdentityToken": ["pod-token"],
    }
    assert "Credential=ASIA1/" in asked.headers["Authorization"]
    assert asked.headers["X-Amz-Security-Token"] == "sess"


def test_a_role_that_is_refused_is_said_without_the_token(tmp_path: Path):
    (tmp_path / "token").write_text("pod-token")
    role = {"AWS_ROLE_ARN": "arn", "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "HOME": "/none"}
    with pytest.raises(AuthenticationError, match="AssumeRoleWithWebIdentity: status 403") as caught:
        Cloud(lambda _: Answer(403, b"<Error>pod-token</Error>")).resolve(ECR, role)
    assert "pod-token" not in str(caught.value) + caught.value.hint


def test_a_container_asks_the_endpoint_beside_it(tmp_path: Path):
    (tmp_path / "token").write_text("of-the-pod\n")
    role = {"AccessKeyId": "ASIA2", "SecretAccessKey": "s", "Token": "t", "Expiration": "2026-11-23T10:00:00Z"}
    with scripted(lambda _seen: Reply(200, {}, json.dumps(role).encode())) as agent:
        found = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{agent.url}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
        }
        cloud = Cloud(ecr)
        assert cloud.resolve(ECR, {**found, "HOME": "/none"})[1].secret == "password"
    (seen,) = agent.seen
    assert (seen.path, seen.headers["authorization"]) == ("/v1/credentials", "of-the-pod")
    assert "Credential=ASIA2/" in cloud.asked[0].headers["Authorization"]


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "http://evil.example/",
        "https://169.254.170.23/",
        "http://169.254.170.23@evil.example/",
    ],
)
def test_no_other_address_is_asked_for_a_role(url: str):
    with pytest.raises(ConfigError, match="is no endpoint of a container"):
        Cloud(ecr).resolve(ECR, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url, "HOME": "/none"})


def test_only_the_repositories_that_are_missing_are_created():
    def answer(request: Request) -> Answer:
        action, fields = request.headers["X-Amz-Target"].partition(".")[2], json.loads(request.body)
        if action == "DescribeRepositories":
            more = {} if "nextToken" in fields else {"nextToken": "2"}
            return Answer(200, {"repositories": [{"repositoryName": "b" if more else "a"}], **more})
        if fields["repositoryName"] == "raced":
            return Answer(400, {"__type": "RepositoryAlreadyExistsException", "message": "it is there"})
        return Answer(200, {"repository": {}})

    cloud = Cloud(answer)
    credentials, _ = cloud.resolve("docker.io", {**AWS, "HOME": "/none"})
    assert credentials.ecr(ECR).create(["a", "b", "c", "raced", "c"]) == ["c", "raced"]
    made = [json.loads(each.body) for each in cloud.asked if each.headers["X-Amz-Target"].endswith("CreateRepository")]
    assert made == [{"repositoryName": "c"}, {"repositoryName": "raced"}]


def test_why_a_repository_cannot_be_created_is_said():
    def answer(request: Request) -> Answer:
        if request.headers["X-Amz-Target"].endswith("DescribeRepositories"):
            return Answer(200, {"repositories": []})
        return Answer(400, {"__type": "com.amazonaws.ecr#AccessDeniedException", "message": "not you"})

    credentials, _ = Cloud(answer).resolve("docker.io", {**AWS, "HOME": "/none"})
    with pytest.raises(AuthenticationError, match=r"creates no repository.*AccessDeniedException: not you"):
        credentials.ecr(ECR).create(["a"])
    with pytest.raises(UsageError, match=r"registry\.example\.com is no registry of Amazon ECR"):
        credentials.ecr("registry.example.com")
    credentials, _ = Cloud(answer).resolve("docker.io", {"HOME": "/none"})
    with pytest.raises(AuthenticationError, match="no keys of AWS are found"):
        credentials.ecr(ECR).create(["a"])
