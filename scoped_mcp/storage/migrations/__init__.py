"""Schema revisions, up and down."""
