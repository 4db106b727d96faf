"""The page of messages says what the structs say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_of_messages_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate_messages.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
