"""Rows for objectives."""

from tests.train.matrix import Case, config_of

ALL = (("contrastive", 1.0), ("mlm", 1.0), ("itm", 1.0))
CONFIG = config_of(Case("none", 2, False, ALL))
