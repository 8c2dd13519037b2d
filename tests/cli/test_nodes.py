"""`homeport nodes` as a person runs it."""

import tomllib

import yaml

from homeport.cli.app import run
from tests.kit.servers import write_certificate

POD = "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'nginx:1'}, {image: 'quay.io/org/app:1'}]}\n"
TO = "registry.example.com:5000/mirror"


def test_files_go_to_stdout_below_their_paths(tmp_path, capsys):
    (tmp_path / "pod.yaml").write_text(POD)
    assert run(["nodes", "--to", TO, str(tmp_path / "pod.yaml")]) == 0
    out = capsys.readouterr().out
    for path in (
        "# /etc/containerd/certs.d/docker.io/hosts.toml",
        "# /etc/containerd/certs.d/quay.io/hosts.toml",
        "# /etc/containers/registries.conf.d/50-homeport.conf",
        "# openshift/homeport-mirrors.yaml",
    ):
        assert path in out.splitlines()


def test_files_go_to_a_folder_for_one_runtime(tmp_path, capsys):
    (tmp_path / "pod.yaml").write_text(POD)
    command = [
        "nodes",
        "--to",
        TO,
        "--runtime",
        "cri-o",
        "--output-dir",
        str(tmp_path / "out"),
        str(tmp_path / "pod.yaml"),
    ]
    assert run(command) == 0
    (written,) = [it for it in (tmp_path / "out").rglob("*") if it.is_file()]
    assert written == tmp_path / "out/etc/containers/registries.conf.d/50-homeport.conf"
    assert 'prefix = "quay.io"' in written.read_text()
    assert capsys.readouterr().out == ""


def test_what_cannot_be_expressed_or_read_is_told_by_the_exit_code(tmp_path, capsys):
    (tmp_path / "pod.yaml").write_text(POD)
    assert run(["nodes", "--to", TO, "--map", "quay.io/org=o", str(tmp_path / "pod.yaml")]) == 1
    assert "quay.io/org would not go to" in capsys.readouterr().err
    (tmp_path / "pod.yaml").write_text("a: [")
    assert run(["nodes", "--to", TO, str(tmp_path / "pod.yaml")]) == 2
    assert run(["nodes", "--to", TO]) == 2


def test_the_authority_is_written_where_each_runtime_looks_for_it(tmp_path, capsys):
    ca_file, _, key = write_certificate(tmp_path)
    out = tmp_path / "out"
    assert run(["nodes", "--to", TO, "--ca-file", str(ca_file), "--output-dir", str(out)]) == 0
    ca = ca_file.read_text()
    host = "registry.example.com:5000"
    for path in (f"containerd/certs.d/{host}", f"containers/certs.d/{host}", "rancher/k3s", "rancher/rke2"):
        assert (out / "etc" / path / "homeport-ca.crt").read_text() == ca
    hosts = tomllib.loads((out / f"etc/containerd/certs.d/{host}/hosts.toml").read_text())
    assert hosts["server"] == f"https://{host}"
    assert hosts["ca"] == hosts["host"][f"https://{host}"]["ca"] == "homeport-ca.crt"
    registries = yaml.safe_load((out / "etc/rancher/k3s/registries.yaml").read_text())
    assert registries == {"configs": {host: {"tls": {"ca_file": "/etc/rancher/k3s/homeport-ca.crt"}}}}
    config, image = yaml.safe_load_all((out / "openshift/homeport-mirrors.yaml").read_text())
    assert config["data"]["registry.example.com..5000"].strip() == ca.strip()
    assert image["spec"]["additionalTrustedCA"] == {"name": config["metadata"]["name"]}
    assert 'config_path = "/etc/containerd/certs.d"' in capsys.readouterr().err
    assert run(["nodes", "--to", TO, "--ca-file", str(key)]) == 2
    assert "or holds a private key" in capsys.readouterr().err


def test_k3s_sends_whole_registries_to_the_target(tmp_path, capsys):
    (tmp_path / "pod.yaml").write_text(POD)
    assert run(["nodes", "--to", TO, "--runtime", "k3s", str(tmp_path / "pod.yaml")]) == 0
    out, err = capsys.readouterr()
    endpoint = ["https://registry.example.com:5000"]
    mirror = {"endpoint": endpoint, "rewrite": {"^(.*)$": "mirror/$1"}}
    assert yaml.safe_load(out)["mirrors"] == {"docker.io": mirror, "quay.io": mirror}
    assert "--disable-default-registry-endpoint" in err
