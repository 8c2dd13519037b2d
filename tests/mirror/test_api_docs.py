"""The examples of docs/api.md, run one after the other as a reader would."""

import re
from pathlib import Path
from typing import Any

import pytest

from homeport.registry.credentials import Credential
from tests.kit.clients import open_registries
from tests.kit.docker_hub import running_docker_hub
from tests.kit.images import multi_arch, put
from tests.kit.servers import running_registry

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
EXAMPLE = re.compile(r"^```python\n(.*?)^```\n+^```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
IMAGES = {"redislabs/redis": "7.2.4-64", "redislabs/operator": "7.2.4-7", "redislabs/k8s-controller": "7.2.4-7"}


def test_the_examples_print_what_the_page_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    examples = EXAMPLE.findall(PAGE.read_text())
    assert len(examples) == PAGE.read_text().count("```python") == 6
    seen: dict[str, Any] = {"__name__": "docs.api"}
    with running_docker_hub(users={"me": "x"}) as hub, running_registry() as target:
        with open_registries(Credential("me", "x"), endpoints=[hub.endpoint]) as registries:
            for repository, tag in IMAGES.items():
                put(multi_arch(repository, attested=False), registries.client("docker.io"), repository, tag)
        monkeypatch.setenv("HOMEPORT_ENDPOINTS", f"{hub.endpoint},registry.example.com={target.url}")
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
            monkeypatch.delenv(name, raising=False)
        for code, printed in examples:
            exec(compile(code, str(PAGE), "exec"), seen)  # the page is ours
            assert capsys.readouterr().out == printed
