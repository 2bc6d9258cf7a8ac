"""What becomes of a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from scoped_mcp.kernel.errors import ScopedError
    from scoped_mcp.spine.caller import Caller
    from scoped_mcp.spine.context import Record
    from scoped_mcp.spine.declare import View


@dataclass
class Outcome:
    """What became of a request: a view, or a refusal already traced.

    Attributes:
        anew: The authority number under which its caller was authenticated, if it was not
            remembered.
    """

    caller: Caller | None
    view: View | None = None
    refusal: ScopedError | None = None
    anew: int | None = None


@dataclass
class Glimpse:
    """What a pooled read saw, and how far it may be believed.

    Attributes:
        authority: The newest entry that had changed anybody's rights when it was read.
        now: When it was read: a right that expired since counts like a changed one.
    """

    outcome: Outcome
    record: Record
    authority: int
    now: datetime
