"""`python -m lowrank` and the command `lowrank` run the program that the wheel brings."""
import os
import sys
from pathlib import Path


def main() -> None:
    program = Path(__file__).parent / "bin" / "lowrank"
    if not program.exists():
        sys.exit(f"{program}: no program; install the wheel")
    os.execv(program, ["lowrank", *sys.argv[1:]])


if __name__ == "__main__":
    main()
