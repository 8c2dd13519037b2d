"""`homeport helm-plugin` as a person runs it."""

import yaml

from homeport.cli.app import run


def test_the_plugin_calls_relocate_with_the_same_options(tmp_path, capsys):
    options = ["--pull-secret", "regcred", "--keep-registry", "--map", "quay.io=q", "--default-registry", "quay.io"]
    assert run(["helm-plugin", str(tmp_path / "new"), "--to", "reg.io/m", *options]) == 0
    plugin = yaml.safe_load((tmp_path / "new/plugin.yaml").read_text())
    (command,) = plugin["runtimeConfig"]["platformCommand"]
    assert (plugin["apiVersion"], plugin["type"], plugin["name"]) == ("v1", "postrenderer/v1", "homeport")
    assert command["command"] == "homeport"
    assert command["args"][:3] == ["relocate", "--to", "reg.io/m"]
    assert command["args"][-1] == "-"
    assert set(options) <= set(command["args"])
    out = capsys.readouterr().out
    assert "--post-renderer homeport --post-renderer-args relocate --post-renderer-args --to" in out


def test_options_that_relocate_would_refuse_are_refused(tmp_path):
    for options in (["--to", "https://r.io"], ["--to", "r.io", "--pull-secret", "A_b"], ["--to", "r.io", "--map", "x"]):
        assert run(["helm-plugin", str(tmp_path), *options]) == 2
    assert list(tmp_path.iterdir()) == []
