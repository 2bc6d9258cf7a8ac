"""The rooms, one shape, in the seed's order; each may import only lower numbers.

1 registry · 2 identity · 3 objects · 4 tenancy · 6 audit · 8 environments · 9 flow
"""

from scoped_mcp.layers import audit, environments, flow, identity, objects, registry, tenancy

__all__ = ["audit", "environments", "flow", "identity", "objects", "registry", "tenancy"]
