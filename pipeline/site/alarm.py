"""Detects identities whose videos are rejected far more often than the others': the site may distrust their address."""

import math
from collections import Counter
from collections.abc import Mapping

from manifests.reasons import Reason

WITHHELD = (Reason.NO_720P, Reason.NO_CAPTIONS, Reason.EMPTY_CAPTIONS, Reason.FORMATS_HIDDEN, Reason.CAPTIONS_LOCKED)
"""Verdicts that an address distrusted by the site gets more often than others."""

ALARM_ANSWERS, ALARM_DEVIATIONS = 30, 4.0
"""An alarm needs this many answers on both sides, and a share this many standard errors above the others' share."""


def alarm_of(name: str, verdicts: Mapping[str, Counter[str]]) -> str:
    """Describes the verdict that this identity gets far more often than the others do; "" if there is none."""
    own, others = verdicts[name], sum((v for n, v in verdicts.items() if n != name), Counter())
    n_own, n_others = own.total(), others.total()
    if min(n_own, n_others) < ALARM_ANSWERS:
        return ""
    for reason in WITHHELD:
        share, usual = own[reason.value] / n_own, others[reason.value] / n_others
        pooled = (own[reason.value] + others[reason.value]) / (n_own + n_others)
        error = math.sqrt(pooled * (1 - pooled) * (1 / n_own + 1 / n_others))
        if error and (share - usual) / error > ALARM_DEVIATIONS:
            return f"{reason.value} for {share:.0%} of its videos, {usual:.0%} elsewhere: the site may distrust it"
    return ""


def share_of_rejects(verdicts: Counter[str]) -> float:
    """The share of answers that rejected their video; 0 before the first answer."""
    whole = verdicts.total()
    return round(1 - verdicts[""] / whole, 4) if whole else 0.0
