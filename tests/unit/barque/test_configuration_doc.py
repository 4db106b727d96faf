"""The configuration guide has every section and key, as the structs have them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_configuration_guide_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate_configuration.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
