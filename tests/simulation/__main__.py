"""`python -m tests.simulation --seed 1 --steps 20000`: see the package's docstring."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.run import STEPS_OF_A_WORLD, Broken, missing, run


def main() -> int:
    """0: all laws held and every fault happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="any number; the same one, the same run")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument(
        "--world", type=int, default=0, help=f"begin with this world of the seed; each has {STEPS_OF_A_WORLD} steps"
    )
    given = parser.parse_args()
    begun = time.process_time()
    try:
        happened = run(given.seed, given.steps, given.world)
    except Broken as broken:
        print(broken, file=sys.stderr)
        return 1
    for name, count in sorted(happened.items()):
        print(f"{count:>9,}  {name}")
    print(f"seed {given.seed}: every law held; {given.steps / (time.process_time() - begun):,.0f} steps a second")
    never = missing(happened)
    if never and given.steps >= 4_000:
        print(f"never happened, so nothing is proved of it: {', '.join(never)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
