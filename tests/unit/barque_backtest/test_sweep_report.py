"""What is written of a sweep: the files agree with the records, and the heat map with both."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from barque_backtest.grid import combinations, parse_axis
from barque_backtest.statistics import Statistics
from barque_backtest.sweep import Record
from barque_backtest.sweep_report import cells_of, page, short, shown, sweep_json, write_sweep
from barque_backtest.walk_forward import Fold, WalkForward, windows
from tests.support.builders import MINUTE, T0

AXES = [
    parse_axis("strategies.sma.params.fast=1,2"),
    parse_axis("strategies.sma.params.slow=5,6"),
    parse_axis("paper.latency_ms=0,9"),
]


def figures(sharpe: float | None, drawdown: float = 0.1) -> Statistics:
    return Statistics(
        name="total",
        currency="USD",
        start_equity=1.0,
        end_equity=2.0,
        net_profit=1.0,
        sharpe=sharpe,
        max_drawdown=drawdown,
        trades=3,
    )


def records() -> list[Record]:
    """Sharpe ratios 0 to 7 in the order of the grid; the fourth is refused, the last has none."""
    made = []
    for number, chosen in enumerate(combinations(AXES)):
        sharpe = None if number == 7 else float(number)
        status = "invalid" if number == 3 else "ok"
        made.append(
            Record(
                key=str(number),
                parameters=dict(chosen),
                status=status,
                reason="<no>" if number == 3 else "",
                statistics=None if number == 3 else figures(sharpe, 0.1 * number),
            )
        )
    return made


class Cells(HTMLParser):
    """The rows of every table."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.open += 1

    def handle_endtag(self, tag: str) -> None:
        self.open -= tag in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.open and self.rows:
            self.rows[-1][-1] += data


def test_each_cell_of_the_heat_map_is_the_best_over_the_other_axes() -> None:
    assert cells_of(records(), AXES, "sharpe") == {(1, 5): 1.0, (1, 6): 2.0, (2, 5): 5.0, (2, 6): 6.0}
    assert cells_of(records(), AXES, "max_drawdown")[1, 5] == 0.0
    found = Cells()
    found.feed(page(records(), AXES, "sharpe"))
    assert found.rows[:3] == [["", "5", "6"], ["1", "1.00", "2.00"], ["2", "5.00", "6.00"]]
    assert "the best over paper.latency_ms" in page(records(), AXES, "sharpe")


def test_the_best_is_green_and_the_worst_red_also_where_less_is_better() -> None:
    html = page(records(), AXES, "max_drawdown")
    cells = html.split("<td title=")[1:5]
    assert "--heat-up), 0.550" in cells[0]
    assert "--heat-down), 0.550" in cells[3]


def test_the_table_has_every_run_the_best_first_the_refused_last() -> None:
    found = Cells()
    found.feed(page(records(), AXES, "sharpe"))
    table = found.rows[4:]
    assert [row[3] for row in table] == ["6.00", "5.00", "4.00", "2.00", "1.00", "0.00", "–", "invalid: <no>"]


def test_the_files_hold_every_run_in_the_order_of_the_grid(tmp_path: Path) -> None:
    write_sweep(tmp_path, records(), AXES, "sharpe")
    found = json.loads((tmp_path / "sweep.json").read_text())
    assert [run["parameters"] for run in found["runs"]] == [dict(c) for c in combinations(AXES)]
    assert found["best"][0] == {"strategies.sma.params.fast": 2, "strategies.sma.params.slow": 6, "paper.latency_ms": 0}
    table = parquet.read_table(tmp_path / "sweep.parquet").to_pydict()
    assert table["sharpe"] == [0.0, 1.0, 2.0, None, 4.0, 5.0, 6.0, None]
    assert table["status"][3] == "invalid"
    assert table["paper.latency_ms"] == [0, 9] * 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sweep.html", "sweep.json", "sweep.parquet"]


def test_values_of_several_types_become_text_in_parquet(tmp_path: Path) -> None:
    axes = [parse_axis("strategies.sma.params.price=bid,5")]
    made = [Record(key=str(c), parameters=dict(c), status="ok", statistics=figures(1.0)) for c in combinations(axes)]
    write_sweep(tmp_path, made, axes, "sharpe")
    assert parquet.read_table(tmp_path / "sweep.parquet").to_pydict()["strategies.sma.params.price"] == ["bid", "5"]


def test_a_walk_forward_shows_each_window_and_says_where_none_was_chosen() -> None:
    spans = windows(T0, T0 + 300 * MINUTE, 100 * MINUTE, 100 * MINUTE)
    first, second = records()[5], records()[6]
    walked = WalkForward(
        folds=[Fold(window=spans[0], train=first, test=second), Fold(window=spans[1], train=None, test=None)],
        trained=records(),
        curve=None,
        statistics=figures(0.5),
    )
    text = page(records(), AXES, "sharpe", walked)
    found = Cells()
    found.feed(text)
    assert found.rows[1][:8] == ["2014-05-01T01:40:00Z", "2014-05-01T03:20:00Z", "2", "5", "9", "5.00", "6.00", "1.00"]
    assert "no run of the training stretch has a sharpe" in text
    folds = sweep_json(records(), AXES, "sharpe", walked)["walk_forward"]["folds"]
    assert folds[0]["chosen"] == first.parameters
    assert folds[1]["chosen"] is None


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [("sharpe", 1.234, "1.23"), ("max_drawdown", 0.1234, "12.34 %"), ("trades", 1234, "1,234"), ("sharpe", None, "–")],
)
def test_figures_are_written_as_people_write_them(metric: str, value: float | None, text: str) -> None:
    assert shown(metric, value) == text


def test_names_of_parameters_are_shortened() -> None:
    assert short("strategies.sma.params.fast") == "sma.fast"
    assert short("strategies.sma.interval") == "strategies.sma.interval"
    assert short("paper.latency_ms") == "paper.latency_ms"
