"""The guide to the books says of every table how long its rows are kept."""

from __future__ import annotations

import re

from barque.postgres.migrate import migrations
from tests.support.data import ROOT

GUIDE = (ROOT / "docs" / "guides" / "books.md").read_text(encoding="utf-8")
OF_ANOTHER = {"bars_default"}
"""Part of a table that is named."""


def test_every_table_is_in_the_list_of_what_is_kept_how_long() -> None:
    made = {name for each in migrations() for name in re.findall(r"^CREATE TABLE (\w+)", each.sql, re.MULTILINE)}
    listed = GUIDE.partition("## What is kept how long")[2].partition("\n## ")[0]
    named = {name for row in listed.splitlines() if row.startswith("| `") for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert made - OF_ANOTHER == named - {"migrations"}


def test_no_two_migrations_have_one_number() -> None:
    numbers = [each.number for each in migrations()]
    assert len(set(numbers)) == len(numbers)
