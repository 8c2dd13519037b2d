"""Names in the `data` of Secrets: rewritten on wish, in base64, and nothing else of the contents is shown."""

import base64
import textwrap

import pytest

from homeport.applications.application import Versions
from homeport.cli.app import run
from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import Source
from homeport.discovery.secrets import decode_text
from homeport.mapping import Mapping
from homeport.workflow.rewrite import rewrite

MIRROR = Mapping.parse("reg.io:5000/m")
POD = "kind: Pod  # kept\nspec: {containers: [{name: c, image: quay.io/org/hidden:1}]}\n"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(data: str) -> str:
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}} # here\ndata:\n{data}"


def rewritten(text: str) -> str:
    for _ in range(2):
        result = rewrite([Source("s.yaml", text)], MIRROR, versions=Versions(), decode_secrets=True)
        assert result.failures == ()
        text, before = result.files[0].result.text, text
    assert text == before, "a second run must change nothing"
    return text


@pytest.mark.parametrize("form", ["{}", "'{}'", '"{}"', "!!str {}", "{} # comment"])
def test_a_value_changes_in_its_form_and_nothing_else(form):
    text = secret(f"  a: {form}\n  password: {encoded('hunter2')}\n")
    after = encoded(POD.replace("quay.io/org", "reg.io:5000/m/org"))
    assert rewritten(text.replace("{}", encoded(POD))) == text.replace("{}", after)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_base64_in_lines_stays_in_lines(end):
    lines = end.join(textwrap.wrap(encoded(POD), 20))
    text = (
        secret("  a: |\n" + textwrap.indent(lines, "    ") + "\n  b: MQ==\n").replace("\r\n", "\n").replace("\n", end)
    )
    after = rewritten(text)
    (document,) = parse_documents(Source("s", after))
    assert decode_text(document.root["data"]["a"]) == POD.replace("quay.io/org", "reg.io:5000/m/org")
    assert {len(line.strip()) for line in after.split(end)[5:-3]} == {20}
    assert after.endswith(f"{end}  b: MQ=={end}")


def test_secrets_in_a_list_and_plain_names():
    item = f"{{apiVersion: v1, kind: Secret, metadata: {{name: s}}, data: {{IMAGE: {encoded('ghcr.io/org/app:2')}}}}}"
    text = f"apiVersion: v1\nkind: List\nitems:\n- {item}\n"
    assert encoded("reg.io:5000/m/org/app:2") in rewritten(text)


def test_what_cannot_be_edited_is_refused():
    folded = secret(f"  a: &a {encoded(POD)}\n  b: *a\n")
    result = rewrite([Source("s.yaml", folded)], MIRROR, versions=Versions(), decode_secrets=True)
    assert "data.b is written in a way that cannot be edited" in str(result.failures[0])


def test_the_command_rewrites_only_where_it_is_asked_to_and_keeps_the_secret(tmp_path, capsys):
    file = tmp_path / "s.yaml"
    other = encoded("url: quay.io/org/hidden:1 hunter2\n")
    text = secret(f"  a: {encoded(POD)}\n  b: {other}\n")
    file.write_text(text)
    assert run(["relocate", "--to", "reg.io:5000/m", str(file)]) == 0
    assert capsys.readouterr().out == text
    assert run(["relocate", "--to", "reg.io:5000/m", "--decode-secrets", "--in-place", str(file)]) == 1
    said = capsys.readouterr()
    assert "line 5: quay.io/org/hidden:1 -> reg.io:5000/m/org/hidden:1" in said.err
    assert "s.yaml:6: data.b: quay.io is a source registry" in said.err
    assert "hunter2" not in said.out + said.err
    assert run(["scan", "-o", "names", "--decode-secrets", str(file)]) == 0
    assert capsys.readouterr().out == "reg.io:5000/m/org/hidden:1\n"
