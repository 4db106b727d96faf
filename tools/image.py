"""What one service's image installs. Used by the Dockerfile; needs nothing but Python ≥ 3.11.

    python tools/image.py packages router [strategy...]       folders of our own packages, in order
    python tools/image.py requirements router [strategy...]   their third-party dependencies, as written in pyproject.toml
    python tools/image.py lock NAMES_FILE                     the blocks of requirements.lock for the names in that file

The lock says which version and hash; a resolver says which names a service needs; this joins the two.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("libs", "services", "strategies", "tools")


def projects() -> dict[str, Path]:
    """Folder of each of our packages, by distribution name."""
    found = {}
    for folder in FOLDERS:
        for path in sorted(ROOT.glob(f"{folder}/*/pyproject.toml")):
            found[tomllib.loads(path.read_text(encoding="utf-8"))["project"]["name"]] = path.parent
    return found


def closure(names: list[str]) -> tuple[list[Path], list[str]]:
    """Folders of our packages that `names` need, dependencies first, and the third-party requirements of all of them."""
    ours = projects()
    folders: list[Path] = []
    third: dict[str, None] = {}
    seen: set[tuple[str, str]] = set()

    def visit(requirement: str) -> None:
        match = re.match(r"([A-Za-z0-9_.-]+)(?:\[([^\]]*)\])?", requirement)
        if match is None or match.group(1) not in ours:
            third[requirement] = None
            return
        name, extras = match.group(1), match.group(2) or ""
        if (name, extras) in seen:
            return
        seen.add((name, extras))
        project = tomllib.loads((ours[name] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        wanted = list(project.get("dependencies", []))
        for extra in filter(None, (part.strip() for part in extras.split(","))):
            wanted += project["optional-dependencies"][extra]
        for dependency in wanted:
            visit(dependency)
        if ours[name] not in folders:
            folders.append(ours[name])

    for name in names:
        if name.partition("[")[0] not in ours:
            raise SystemExit(f"no package '{name}'; there are: {', '.join(sorted(ours))}")
        visit(name)
    return folders, list(third)


def lock_blocks(names: set[str], lock: str) -> str:
    """The blocks (requirement line and its hashes) of `lock` whose package is in `names`; all must be there."""
    blocks = re.findall(r"^([A-Za-z0-9_.-]+)==.*(?:\n    .*)*", lock, flags=re.MULTILINE)
    texts = [m.group(0) for m in re.finditer(r"^[A-Za-z0-9_.-]+==.*(?:\n    .*)*", lock, flags=re.MULTILINE)]
    missing = names - set(blocks)
    if missing:
        raise SystemExit(f"requirements.lock lacks {', '.join(sorted(missing))}; run `make lock`")
    return "\n".join(text for name, text in zip(blocks, texts, strict=True) if name in names) + "\n"


def main(arguments: list[str]) -> None:
    """The command line above."""
    what, *rest = arguments
    if what == "packages":
        print("\n".join(f"./{folder.relative_to(ROOT)}" for folder in closure(rest)[0]))
    elif what == "requirements":
        print("\n".join(closure(rest)[1]))
    elif what == "lock":
        text = Path(rest[0]).read_text(encoding="utf-8")
        names = set(re.findall(r"^([A-Za-z0-9_.-]+)==", text, flags=re.MULTILINE))
        print(lock_blocks(names, (ROOT / "requirements.lock").read_text(encoding="utf-8")), end="")
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
