"""Behind a real nginx: clients find their way, and the log says who they are."""

import json

import pytest
import urllib3

from homeport.oci.digest import digest_of
from tests.kit.servers import serve_process, write_htpasswd
from tests.peers.nginx import nginx

pytestmark = pytest.mark.peers

CONTENT = bytes(range(256)) * 8192


def test_uploads_and_tokens_lead_back_through_the_proxy(tmp_path):
    users = write_htpasswd(tmp_path / "htpasswd", {"me": "secret"})
    with (
        serve_process(tmp_path / "data", "--htpasswd", str(users), "--tokens") as server,
        nginx(tmp_path, server.host) as host,
        urllib3.PoolManager(retries=False, timeout=30) as http,
    ):
        refused = http.request("GET", f"http://{host}/v2/")
        assert f'realm="http://{host}/token"' in refused.headers["www-authenticate"]
        asked = f"http://{host}/token?scope=repository:a:pull,push"
        token = http.request("GET", asked, headers=urllib3.make_headers(basic_auth="me:secret")).json()["token"]
        mine = {"authorization": f"Bearer {token}"}
        opened = http.request("POST", f"http://{host}/v2/a/blobs/uploads/", headers=mine)
        location = opened.headers["location"]
        assert location.startswith("/v2/")
        pieces = (CONTENT[start : start + 100_000] for start in range(0, len(CONTENT), 100_000))
        sent = http.request("PATCH", f"http://{host}{location}", body=pieces, headers=mine)
        assert (sent.status, sent.headers["range"]) == (202, f"0-{len(CONTENT) - 1}")
        digest = digest_of(CONTENT)
        assert http.request("PUT", f"http://{host}{location}?digest={digest}", headers=mine).status == 201
        part = http.request("GET", f"http://{host}/v2/a/blobs/{digest}", headers={**mine, "range": "bytes=-10"})
        assert (part.status, part.data) == (206, CONTENT[-10:])


@pytest.mark.parametrize(("trusted", "seen"), [("[127.0.0.1]", "127.0.0.2"), ("[10.0.0.0/8]", "127.0.0.1")])
def test_the_log_names_the_client_that_a_trusted_proxy_saw(tmp_path, trusted, seen):
    config = tmp_path / "registry.yaml"
    config.write_text(f"accessLog: true\ntrustedProxies: {trusted}\n")
    with (
        serve_process(tmp_path / "data", "--config", str(config)) as server,
        nginx(tmp_path, server.host) as host,
        urllib3.PoolManager(retries=False, timeout=30, source_address=("127.0.0.2", 0)) as http,
    ):
        made_up = {"x-forwarded-for": "192.0.2.7"}
        assert http.request("GET", f"http://{host}/v2/", headers=made_up).status == 200
        server.stop()
    [line] = [json.loads(line) for line in server.lines if line.startswith("{")]
    assert (line["path"], line["client"]) == ("/v2/", seen)
