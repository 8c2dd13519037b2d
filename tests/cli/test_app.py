"""The command line as a whole: help, version, exit codes of misuse."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from homeport import __version__
from homeport.cli.commands import COMMANDS


def homeport(*arguments):
    return subprocess.run(
        [sys.executable, "-c", "from homeport.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_every_command(arguments):
    done = homeport(*arguments)
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


def test_version():
    assert homeport("--version").stdout == f"homeport {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    done = homeport(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: homeport {command}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("scann",), "Did you mean scan?"),
        (("xyzzy",), "lists the commands"),
        (("completion",), "homeport completion --help"),
        (("completion", "tcsh"), "homeport completion --help"),
        (("plan", "--no-such-option"), "homeport plan --help"),
    ],
)
def test_misuse_exits_with_2_and_says_what_to_do(arguments, says):
    done = homeport(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_output_that_cannot_be_written_is_no_success():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from homeport.cli import main; main()", "rbac"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
            env={name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(shell):
    done = homeport("completion", shell)
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)
