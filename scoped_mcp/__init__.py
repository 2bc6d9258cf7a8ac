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

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scoped_mcp.app import Scoped, Session
    from scoped_mcp.houses import Houses
    from scoped_mcp.kernel.errors import ScopedError

__all__ = ["Houses", "Scoped", "ScopedError", "Session", "__version__"]

__version__ = "0.1.0"
_FROM = {
    "Houses": "houses",
    "Scoped": "app",
    "ScopedError": "kernel.errors",
    "Session": "app",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what was asked for
    """Open the house when somebody enters: its workers import the kernel alone (ruling 17)."""
    if name not in _FROM:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module  # noqa: PLC0415 - nobody else needs it

    from scoped_mcp.kernel.imports import uncollected  # noqa: PLC0415 - as above

    with uncollected():
        return getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
