"""One server, many organisations, each a house with a database of its own.

    async with Houses.open(settings) as houses:
        alice = await houses.session(token)          # of whichever organisation issued the token

The database of the settings is the *home*: its directory names the others. It promises

- that a credential leads to its organisation and to no other, and a bad one is told nothing of who
  is there: the tag of a token is looked up, no database is asked in turn;
- that houses are opened when they are needed and closed when they are not, never more than the
  settings allow beside those in use, and that a slow or broken one holds up nobody else's calls;
- that a house that moved is followed, by whatever process serves it.

directory   what is known of the others, and how their addresses are written without a password
pool        which houses are open
router      the one path of each, behind one door
worker      sweeps them all in turn
founding    a new organisation; suspending and resuming one
moving      from one database to another, whole or not at all
"""

from scoped_mcp.houses.directory import Directory, address, settings_of
from scoped_mcp.houses.founding import HOME, Founded, create, lead, listed, resume, suspend, upgrade
from scoped_mcp.houses.moving import Step, move, move_home, resume_home
from scoped_mcp.houses.open import Houses
from scoped_mcp.houses.router import Router
from scoped_mcp.layers.registry import TenantView

__all__ = [
    "HOME",
    "Directory",
    "Founded",
    "Houses",
    "Router",
    "Step",
    "TenantView",
    "address",
    "create",
    "lead",
    "listed",
    "move",
    "move_home",
    "resume",
    "resume_home",
    "settings_of",
    "suspend",
    "upgrade",
]
