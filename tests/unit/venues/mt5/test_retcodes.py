"""The table of the trade server's answers is whole, and says of nothing that might have been done that it was not."""

from __future__ import annotations

from simulators.mt5 import constants
from venues.mt5.retcodes import RETCODES, meaning


def test_every_retcode_of_the_package_has_its_row_and_name() -> None:
    known = {value: name.removeprefix("TRADE_RETCODE_") for name, value in vars(constants).items() if "RETCODE" in name}
    assert {code: row.name for code, row in RETCODES.items()} == known


def test_what_may_have_been_carried_out_is_unknown_and_never_repeated() -> None:
    assert {RETCODES[code].reaction for code in (10011, 10012, 10031)} == {"unknown"}
    assert meaning(12345).reaction == "unknown"
    assert {code for code, row in RETCODES.items() if row.reaction == "retry"} == {10004, 10020, 10021, 10024}
