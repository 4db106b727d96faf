"""Why a wish becomes no order."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal

from barque.messages import RejectReason

_WIDE = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Reason, words for a person, and the figures where there are any."""

    reason: RejectReason
    detail: str
    limit: str = ""
    actual: str = ""


def figure(value: Decimal | int) -> str:
    """A number for people: no exponent, no needless zeros, at most twelve places.

    >>> figure(Decimal("600000.00000")), figure(Decimal(1) / 3)
    ('600000', '0.333333333333')
    """
    exact = Decimal(value)
    if exact.is_finite() and exact != exact.to_integral_value():
        return f"{exact.quantize(Decimal('1E-12'), context=_WIDE).normalize(_WIDE):f}"
    return f"{exact:.0f}"
