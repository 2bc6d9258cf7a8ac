"""`demo`: the main job, driven by real MCP clients over HTTP, each step proving one promise.

document.py    a real text, cut into sections
stage.py       a fresh house, its server in a process of its own, and who acts in it
story.py       two users, two agents: isolation, sharing, refusal, revocation
proofs.py      forgery, the trail, tampering
"""

from scoped_mcp.faces.cli.demo.command import demo

__all__ = ["demo"]
