"""The nouns of the loop as frozen dataclasses, with their pure rules. Standard library only."""
