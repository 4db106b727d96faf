"""Every fault that is put into the order path on purpose is noticed (`tests.simulation.mutants`)."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, ROOT, Mutant, caught_by


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_a_fault_is_noticed(mutant: Mutant) -> None:
    assert caught_by(mutant)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_the_place_of_a_fault_is_there_once(mutant: Mutant) -> None:
    """Else the fault is in no program, or in two places, and a test of it proves nothing."""
    assert (ROOT / mutant.path).read_text(encoding="utf-8").count(mutant.old) == 1
