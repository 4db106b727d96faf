"""The page of the strategy API says what the code says, and all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from barque.strategy import EntryOptions, Strategy, indicators

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "strategy-api.md"


def test_the_page_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate_strategy_api.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_of_a_strategy_is_there_once() -> None:
    text = PAGE.read_text(encoding="utf-8")
    public = [name for name in vars(Strategy) if not name.startswith("_") and name not in ("Params", "State")]
    assert len(public) > 40
    for name in public:
        assert text.count(f"\n- **`{name}(") + text.count(f"\n- **`{name} →") == 1, name


def test_every_option_and_every_indicator_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in (*EntryOptions.__annotations__, *(n for n in indicators.__all__ if hasattr(getattr(indicators, n), "update"))):
        if name not in ("BarIndicator", "ScalarIndicator"):
            assert f"\n| `{name}` |" in text, name
