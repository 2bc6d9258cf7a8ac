"""Reads that stay open: who follows one is told when what it would read has changed.

1. open   the read goes along the one path, and its entry is named `<room>.subscribe`: it is
          authenticated, authorised and traced; what is absent and what is invisible answer the same
2. look   when something was committed, by whatever process, and at least every 15 seconds: the
          caller is authenticated and authorised anew, on a snapshot, and of the answer that it
          would get a digest is kept
3. tell   that the answer is another one: never what, or how often; of what is gone — deleted,
          not shown any more, discarded: all one — once more, and then nothing
4. end    where the client leaves or a look says so: a credential that works no more is told
          nothing; traced as `<room>.unsubscribe`, whose parent is the entry of the opening

A look leaves no trace (ruling 50) and counts as no use of anything.
INVARIANT: only a `Follow` is looked at, and only an entry makes one: nobody reads without a trace.
"""

from scoped_mcp.spine.follow.stream import End, Stream
from scoped_mcp.spine.follow.worker import Follows

__all__ = ["End", "Follows", "Stream"]
