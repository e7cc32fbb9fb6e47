"""Damages every file that is read, many times, and prints what became of it as the table of docs/robustness.md: `make fuzz`.

    python tests/fuzz.py [COPIES] [NAME…]

A copy that ends in anything but an error of ours is named with its number, which is its seed; the exit code is then 1.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from native_readers import NATIVE_READERS
from readers import READERS, try_damage


def main(copies: int, names: list[str]) -> int:
    """Print the table; the number of copies that escaped."""
    escaped = 0
    print("| reader | damaged copies | refused in a line | read | anything else |\n| --- | --: | --: | --: | --: |")
    for reader in (*READERS, *NATIVE_READERS):
        if names and not any(name in reader.name for name in names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            outcome = try_damage(reader, Path(folder) / "files", range(copies))
        print(
            f"| {reader.name} | {outcome.copies:,} | {outcome.refused:,} | {outcome.read:,} | {len(outcome.other)} |", flush=True
        )
        for number, error in outcome.other.items():
            print(f"copy {number} of {reader.name}: {error}", file=sys.stderr)
        escaped += len(outcome.other)
    return escaped


if __name__ == "__main__":
    arguments = sys.argv[1:]
    count = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 1000
    sys.exit(1 if main(count, arguments) else 0)
