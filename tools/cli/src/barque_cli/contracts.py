"""Instruments from an older system's contracts file: `barque config import-contracts`.

In:   JSON, one object per symbol: `{"USDJPY": {"lot": 100000, "pip": 0.01, "currency": "JPY"}}`.   Out: `[[instruments]]`.
Not:  guessing. A key that is not known, a value that is none, a currency that does not follow from the symbol: each is an error
      that names the symbol and the key. What a key of before means here is in `KEYS`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

from barque.config import convert, read_file
from barque.errors import ConfigError, nearest
from barque.instruments import AssetClass, Instrument

KEYS: dict[str, str] = {
    "lot": "contract_size",
    "contract_size": "contract_size",
    "multiplier": "contract_size",
    "pip": "tick_size",
    "tick": "tick_size",
    "tick_size": "tick_size",
    "min_tick": "tick_size",
    "currency": "currency",
    "quote": "currency",
    "base": "base_currency",
    "base_currency": "base_currency",
    "asset_class": "asset_class",
    "type": "asset_class",
    "lot_step": "quantity_step",
    "quantity_step": "quantity_step",
    "min_lot": "min_quantity",
    "min_quantity": "min_quantity",
    "exchange": "exchange",
    "calendar": "calendar",
}
"""Keys of contract files, and what each is here."""
_NUMBERS = frozenset({"contract_size", "tick_size", "quantity_step", "min_quantity"})
_ASSET_CLASSES = get_args(AssetClass)


@dataclass(frozen=True, slots=True)
class Imported:
    """What a contracts file holds."""

    instruments: list[Instrument]
    notes: list[str]
    """What a person should look at."""


def read(path: Path) -> Imported:
    """The instruments of a contracts file; raises `ConfigError` naming file, symbol and key."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_once)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except _Twice as twice:
        raise ConfigError(f"{path}: '{twice}' is there twice; keep one") from None
    if not isinstance(raw, dict) or not raw:
        raise ConfigError(f'{path}: an object of symbols is needed, such as {{"USDJPY": {{"lot": 100000, "pip": 0.01}}}}')
    notes: list[str] = []
    return Imported([_instrument(path, symbol, contract, notes) for symbol, contract in raw.items()], notes)


def to_toml(instruments: list[Instrument]) -> str:
    """As `barque.toml` wants it; what would be so anyway is left out."""
    return "\n".join("\n".join(("[[instruments]]", *_lines(each), "")) for each in instruments)


def append(into: Path, instruments: list[Instrument], environment: Mapping[str, str]) -> list[Instrument]:
    """Add those to the configuration `into` whose symbols it does not have; returns them."""
    known = {each.get("symbol") for each in read_file(into, environment).get("instruments", [])}
    new = [each for each in instruments if each.symbol not in known]
    if new:
        text = into.read_text(encoding="utf-8")
        into.write_text(text.rstrip("\n") + "\n\n" + to_toml(new), encoding="utf-8")
    return new


def _instrument(path: Path, symbol: str, contract: Any, notes: list[str]) -> Instrument:
    if not isinstance(contract, dict):
        raise ConfigError(f"{path}: key '{symbol}': an object is needed, not {json.dumps(contract, default=str)}")
    fields: dict[str, Any] = {"symbol": symbol}
    came_as: dict[str, str] = {}
    for key, value in contract.items():
        name = KEYS.get(key)
        if name is None:
            raise ConfigError(f"{path}: unknown key '{symbol}.{key}'; {nearest(key, list(KEYS))}")
        if name in fields:
            raise ConfigError(f"{path}: keys '{symbol}.{came_as[name]}' and '{symbol}.{key}' are both the {name}; keep one")
        came_as[name] = key
        fields[name] = _value(path, f"{symbol}.{key}", name, value)
    _add_what_follows(path, symbol, fields)
    if came_as["tick_size"] == "pip":
        notes.append(
            f"{symbol}: a pip of {fields['tick_size']} is taken as the tick; if the broker quotes tenths of it, "
            f'set tick_size = "{fields["tick_size"] / 10}"'
        )
    try:
        return convert(fields, Instrument, symbol)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _add_what_follows(path: Path, symbol: str, fields: dict[str, Any]) -> None:
    """Of a pair of two currencies, kind and currencies follow from the symbol; of everything else they have to be said."""
    pair = len(symbol) == 6 and symbol.isalpha() and symbol.isupper()
    if pair and fields.setdefault("asset_class", "fx") == "fx":
        fields.setdefault("base_currency", symbol[:3])
        fields.setdefault("currency", symbol[3:])
        if (fields["base_currency"], fields["currency"]) != (symbol[:3], symbol[3:]):
            said = f"{fields['base_currency']}/{fields['currency']}"
            raise ConfigError(f"{path}: key '{symbol}.currency': {symbol} is {symbol[:3]}/{symbol[3:]}, not {said}")
    for name in ("tick_size", "currency", "asset_class"):
        if name not in fields:
            ways = " or ".join(f"'{key}'" for key, meant in KEYS.items() if meant == name)
            raise ConfigError(f"{path}: key '{symbol}.{name}' is missing; give {ways}")


def _value(path: Path, key: str, name: str, value: Any) -> Any:
    if name in _NUMBERS:
        number = Decimal(value) if isinstance(value, str) and _is_number(value) else value
        if not isinstance(number, Decimal) or not number.is_finite() or number <= 0:
            raise ConfigError(f"{path}: key '{key}': a positive number is needed, not {json.dumps(value, default=str)}")
        return number
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{path}: key '{key}': a text is needed, not {json.dumps(value, default=str)}")
    if name == "asset_class":
        value = value.lower()
        if value not in _ASSET_CLASSES:
            raise ConfigError(f"{path}: key '{key}': '{value}' is no kind of instrument; {nearest(value, list(_ASSET_CLASSES))}")
    return value


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except ArithmeticError:
        return False


def _lines(instrument: Instrument) -> list[str]:
    plain = Instrument(symbol="x", currency="x", tick_size=Decimal(1), asset_class=instrument.asset_class)
    lines = []
    for name in Instrument.__struct_fields__:
        value = getattr(instrument, name)
        needed = name in ("symbol", "asset_class", "currency", "tick_size")
        if value is not None and (needed or value != getattr(plain, name)):
            lines.append(f"{name} = {json.dumps(f'{value:f}' if isinstance(value, Decimal) else value)}")
    return lines


class _Twice(Exception):
    """A key that an object has twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON in which no key may be there twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Twice(key)
        found[key] = value
    return found
