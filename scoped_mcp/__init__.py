"""scoped-mcp: anything built on it can be isolated, shared, traced and rolled back.

The map of the house; imports only point down:

    faces       mcp, cli                     translate and nothing else
    houses      many organisations           leads each credential to its own
    app         the composition root         knows every room
    layers      audit 6, tenancy 4, objects 3, identity 2, registry 1
    spine       the one path                 read `spine/run.py` first
    storage     engines and migrations       only here are drivers known
    kernel      words everyone shares        no I/O
"""

from scoped_mcp.app import Scoped, Session
from scoped_mcp.houses import Houses
from scoped_mcp.kernel.errors import ScopedError

__all__ = ["Houses", "Scoped", "ScopedError", "Session", "__version__"]

__version__ = "0.1.0"
