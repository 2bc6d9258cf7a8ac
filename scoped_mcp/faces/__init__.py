"""The faces: they translate and nothing else. Faces do not know each other."""
