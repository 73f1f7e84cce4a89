"""Water-filling: integers as near to their weights' shares of a total as their limits allow."""

from collections.abc import Sequence
from fractions import Fraction


def water_fill(
    weights: Sequence[Fraction], floors: Sequence[int], limits: Sequence[int], total: int | None
) -> list[int]:
    """Returns integers x with floors <= x <= limits and sum `total`, proportional to the weights where neither binds.

    The sum is below `total` only if all limits bind, above it only if all floors do. Weight 0 gives the floor.
    """
    tops = [limit if weight else floor for weight, floor, limit in zip(weights, floors, limits, strict=True)]
    if total is None or sum(tops) <= total:
        return list(tops)
    level = _level(weights, floors, tops, total)
    exact = [
        min(max(w * level, Fraction(low)), Fraction(top)) for w, low, top in zip(weights, floors, tops, strict=True)
    ]
    filled = [int(x) for x in exact]  # rounds down
    missing = total - sum(filled)
    by_fraction = sorted(range(len(exact)), key=lambda i: (filled[i] - exact[i], i))
    for i in by_fraction[: max(0, missing)]:
        filled[i] += filled[i] < tops[i]
    return filled


def _level(weights: Sequence[Fraction], floors: Sequence[int], tops: Sequence[int], total: int) -> Fraction:
    """The water level at which clip(weight * level, floor, top) sums to `total`; 0 if the floors exceed it."""

    def volume(level: Fraction) -> Fraction:
        parts = zip(weights, floors, tops, strict=True)
        return sum((min(max(w * level, Fraction(low)), Fraction(top)) for w, low, top in parts), Fraction(0))

    bends = sorted({Fraction(x) / w for w, *xs in zip(weights, floors, tops, strict=True) if w for x in xs})
    below = Fraction(0)
    for bend in bends:
        if volume(bend) >= total:
            low, high = volume(below), volume(bend)
            if high == low:
                return below
            return below + (bend - below) * max(Fraction(0), total - low) / (high - low)
        below = bend
    return below
