"""The `data` of Secrets is read on wish alone."""

import base64

import pytest

from homeport.cli.app import run
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.secrets import scan_secrets

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: quay.io/org/hidden:1}]}\n"


def secret(**values):
    data = "".join(f"  {key}: {value}\n" for key, value in values.items())
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: n}}\ndata:\n{data}"


def encoded(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def test_images_in_decoded_texts_are_found_with_their_place():
    text = secret(manifest=encoded(POD), IMAGE=encoded("ghcr.io/org/app:2"), password=encoded("hunter2"))
    scan = scan_secrets(Source("s.yaml", text), Knowledge())
    assert {str(it.reference) for it in scan.findings} == {"quay.io/org/hidden:1", "ghcr.io/org/app:2"}
    assert {(str(it.object), it.path) for it in scan.findings} >= {("Secret/n/s", "data.IMAGE")}


@pytest.mark.parametrize("value", [encoded(b"\xff\xfe\x00"), "!!!", '""', "12", "[a]"])
def test_what_is_no_text_is_passed_over(value):
    assert not scan_secrets(Source("s.yaml", secret(key=value)), Knowledge()).findings


def test_the_command_looks_only_where_it_is_asked_to(tmp_path, capsys):
    file = tmp_path / "s.yaml"
    file.write_text(secret(manifest=encoded(POD), password=encoded("hunter2")))
    assert run(["scan", str(file), "-o", "names"]) == 0
    assert capsys.readouterr().out == ""
    assert run(["scan", str(file), "-o", "names", "--decode-secrets"]) == 0
    said = capsys.readouterr()
    assert said.out == "quay.io/org/hidden:1\n"
    assert "hunter2" not in said.out + said.err
