"""The one path that every read and every write takes. Read `run.py` first."""
