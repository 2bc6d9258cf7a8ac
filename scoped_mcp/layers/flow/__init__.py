"""Room 9. Nothing leaves but through a channel.

A channel leads from environments, scopes or stages into a scope or stage. A promotion asks that
objects at versions pass it; what was reviewed is exactly what lands, as copies that belong to the
scope, all of them or none.
"""

from scoped_mcp.layers.flow.model import (
    Channel,
    CreateChannel,
    GetPromotion,
    ListChannels,
    ListPromotions,
    Promotion,
    PromotionState,
    RequestPromotion,
    RevertPromotion,
    ReviewPromotion,
    SweepPromotions,
    WithdrawPromotion,
)
from scoped_mcp.layers.flow.operations import applying
from scoped_mcp.layers.flow.operations.promotions import question

__all__ = [
    "Channel",
    "CreateChannel",
    "GetPromotion",
    "ListChannels",
    "ListPromotions",
    "Promotion",
    "PromotionState",
    "RequestPromotion",
    "RevertPromotion",
    "ReviewPromotion",
    "SweepPromotions",
    "WithdrawPromotion",
    "applying",
    "question",
]
