"""How fast `homeport` answers, beside importing its command line's library: python benchmarks/startup.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.timing import interleave, table

HOMEPORT = str(Path(sys.executable).parent / "homeport")
PEER = "python -c 'import cyclopts'"

if __name__ == "__main__":
    commands = {
        PEER: [sys.executable, "-c", "import cyclopts"],
        "homeport --help": [HOMEPORT, "--help"],
        "homeport --version": [HOMEPORT, "--version"],
        "homeport completion bash": [HOMEPORT, "completion", "bash"],
        "homeport plan --help": [HOMEPORT, "plan", "--help"],
    }
    print(table(interleave(commands, rounds=9), PEER))
