import base64
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import trustme
from lightkube.config.kubeconfig import SingleConfig
from lightkube.config.models import Context

from homeport.cluster.api import Api
from homeport.cluster.kinds import PODS
from homeport.cluster.kubeconfig import KubeCluster, KubeUser
from homeport.errors import ClusterError, UsageError

EMPTY = b'{"kind": "PodList", "items": null, "metadata": {}}'


@contextmanager
def answering(
    status: int, content: bytes, kind: str = "application/json", context: ssl.SSLContext | None = None
) -> Iterator:
    """Serve one answer to everything; yields the port and the headers of what was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    class Server(HTTPServer):
        def handle_error(self, *_):
            """A client that distrusts the certificate hangs up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


def list_pods(
    server: str, user: KubeUser | None = None, change: Callable[[KubeCluster], None] = lambda _: None
) -> list:
    cluster = KubeCluster(server=server)
    change(cluster)
    with Api(SingleConfig("test", Context(cluster="c"), cluster, user or KubeUser())) as api:
        return list(api.objects(PODS))


def test_a_list_of_null_is_empty():
    with answering(200, EMPTY) as (port, _):
        assert list_pods(f"http://127.0.0.1:{port}") == []


def test_nobody_there_is_said():
    with answering(200, EMPTY) as (port, _):
        pass
    with pytest.raises(
        ClusterError, match=f"the API server http://127.0.0.1:{port} does not answer: Connection refused"
    ):
        list_pods(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("status", "content", "what"),
    [
        (200, b"<html>Log in</html>", "answers 200 with something that is not of a Kubernetes API"),
        (200, b'{"x":' + b"[" * 100_000, "answers 200 with something that is not of a Kubernetes API"),
        (302, b"", "cannot list pods in all namespaces: the API server answered 302"),
        (503, b"no backend\nat all", "the API server answered 503. no backend$"),
        (400, b'{"kind": "Status", "message": "bad limit"}', "the API server answered 400. bad limit$"),
    ],
)
def test_what_is_no_answer_is_said(status, content, what):
    with answering(status, content) as (port, _), pytest.raises(ClusterError, match=what):
        list_pods(f"http://127.0.0.1:{port}")


def test_a_certificate_of_another_authority_is_not_trusted():
    mine, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mine.issue_cert("127.0.0.1").configure_cert(context)

    def trust_the_other(cluster: KubeCluster) -> None:
        cluster.certificate_auth = file

    with (
        other.cert_pem.tempfile() as file,
        answering(200, EMPTY, context=context) as (port, _),
        pytest.raises(ClusterError, match="no trusted connection to the API server"),
    ):
        list_pods(f"https://127.0.0.1:{port}", change=trust_the_other)


def test_an_authority_and_a_client_certificate_may_stand_in_the_kubeconfig():
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    mine = authority.issue_cert("ann@example.com")
    user = KubeUser(
        client_cert_data=base64.b64encode(mine.cert_chain_pems[0].bytes()).decode(),
        client_key_data=base64.b64encode(mine.private_key_pem.bytes()).decode(),
    )

    def trust(cluster: KubeCluster) -> None:
        cluster.certificate_auth_data = base64.b64encode(authority.cert_pem.bytes()).decode()

    with answering(200, EMPTY, context=context) as (port, _):
        assert list_pods(f"https://127.0.0.1:{port}", user, trust) == []


def test_the_name_that_the_kubeconfig_gives_is_checked():
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("kubernetes.example.com").configure_cert(context)

    def trust(cluster: KubeCluster, name: str | None) -> None:
        cluster.certificate_auth, cluster.tls_server_name = file, name

    with authority.cert_pem.tempfile() as file, answering(200, EMPTY, context=context) as (port, _):
        server = f"https://127.0.0.1:{port}"
        assert list_pods(server, change=lambda cluster: trust(cluster, "kubernetes.example.com")) == []
        with pytest.raises(ClusterError, match="no trusted connection"):
            list_pods(server, change=lambda cluster: trust(cluster, None))


def test_who_is_impersonated_is_passed_on():
    with answering(200, EMPTY) as (port, asked):
        list_pods(f"http://127.0.0.1:{port}", KubeUser(impersonated="ann", impersonated_groups=["a", "b"]))
    assert asked[0]["Impersonate-User"] == "ann"
    assert asked[0].get_all("Impersonate-Group") == ["a", "b"]


def test_a_certificate_that_cannot_be_read_is_a_usage_error(tmp_path):
    (tmp_path / "ca.crt").write_text("nothing")

    def break_it(cluster: KubeCluster) -> None:
        cluster.certificate_auth = str(tmp_path / "ca.crt")

    with pytest.raises(UsageError, match="context 'test': certificate or key cannot be read"):
        list_pods("https://127.0.0.1:1", change=break_it)
