"""`homeport nodes` as a person runs it."""

from homeport.cli.app import run

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
