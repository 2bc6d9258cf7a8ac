"""`python -m scoped_mcp.faces.cli`: the command line without its script."""

from scoped_mcp.faces.cli import main

main()
