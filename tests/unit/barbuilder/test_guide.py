"""The guide's configuration is one that the bar builder takes."""

from __future__ import annotations

import re
import tomllib

from barbuilder.config import BarBuilderConfig
from barbuilder.core.node import BarBuilderNode
from barque.config import load_common, load_section
from tests.support.builders import eurusd, usdjpy
from tests.support.data import ROOT

GUIDE = ROOT / "docs" / "guides" / "bars.md"


def test_every_example_of_the_guide_makes_a_bar_builder() -> None:
    examples = re.findall(r"^```toml\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(examples) == 3
    for text in examples:
        raw = tomllib.loads(text)
        config = load_section(raw, "barbuilder", BarBuilderConfig)
        known = load_common(raw).instruments or (eurusd(), usdjpy(), eurusd(symbol="SPY", calendar="XNYS"))
        assert config.bars
        BarBuilderNode(config, known)
