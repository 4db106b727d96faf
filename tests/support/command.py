"""The `barque` command and single services as processes, as a person or an orchestrator runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BARQUE = [sys.executable, "-m", "barque_cli.main"]
"""The command, its arguments to follow."""


def barque(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; its output is text."""
    return run([*BARQUE, *map(str, arguments)], environment or {})


def run(command: Sequence[str], environment: Mapping[str, str], timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Any process to its end."""
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, env={**os.environ, **environment}, check=False
    )


def readyz(port: int) -> tuple[int, dict[str, str]]:
    """(HTTP status, reasons) of a service's readiness; (0, {}) where it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return answer.status, json.load(answer)["reasons"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["reasons"]
    except OSError:
        return 0, {}


def metric(port: int, name: str, **labels: str) -> float:
    """One sample of /metrics; 0 where it is not there."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith(f"{name}{{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
                return float(line.rpartition(" ")[2])
    return 0.0


def parsed(answer: subprocess.CompletedProcess[str]) -> Any:
    """The JSON on standard output."""
    return json.loads(answer.stdout)
