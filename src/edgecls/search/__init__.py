"""Which variant is best under a limit: what can be tried, what to try next, when to stop. Knows records, no framework."""

from __future__ import annotations

from edgecls.search.choice import Choice, best_of, choose
from edgecls.search.space import Space
from edgecls.search.stopping import Allowance, LossBar, parse_time
from edgecls.search.strategy import Strategy, propose

__all__ = ["Allowance", "Choice", "LossBar", "Space", "Strategy", "best_of", "choose", "parse_time", "propose"]
