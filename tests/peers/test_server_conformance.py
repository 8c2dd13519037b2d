"""The conformance suite of the distribution specification, with the scores that the registry page states."""

import os
import subprocess
import xml.etree.ElementTree as ET

import pytest

from tests.kit.peers import peer
from tests.kit.servers import serve_process, write_htpasswd

pytestmark = pytest.mark.peers


@pytest.mark.parametrize(("version", "tests"), [("1.1", 862), ("dev", 986)])
@pytest.mark.parametrize("options", [(), ("--tokens", "--workers", "2")], ids=["login", "tokens and workers"])
def test_the_registry_conforms(version, tests, options, tmp_path):
    users = write_htpasswd(tmp_path / "htpasswd", {"me": "secret"})
    with serve_process(tmp_path / "data", "--htpasswd", str(users), *options) as server:
        environment = {
            **os.environ,
            "OCI_REGISTRY": server.host,
            "OCI_TLS": "disabled",
            "OCI_REPO1": "conformance/one",
            "OCI_REPO2": "conformance/two",
            "OCI_USERNAME": "me",
            "OCI_PASSWORD": "secret",
            "OCI_VERSION": version,
            "OCI_RESULTS_DIR": str(tmp_path),
        }
        done = subprocess.run(
            (peer("conformance"),), env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout
    suite = ET.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    score = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
    assert score == {"tests": tests, "failures": 0, "errors": 0, "skipped": 0}
