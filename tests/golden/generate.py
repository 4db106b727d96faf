"""Appends golden wire files for messages whose bytes are new: `python -m tests.golden.generate`. Never changes one."""

from __future__ import annotations

from tests.golden.examples import EXAMPLES
from tests.golden.wire_files import FOLDER, append


def main() -> None:
    """Write what is missing and say what was written."""
    FOLDER.mkdir(exist_ok=True)
    written = [path for _, message in EXAMPLES if (path := append(message)) is not None]
    print("\n".join(f"wrote {path.name}" for path in written) or "nothing new")


if __name__ == "__main__":
    main()
