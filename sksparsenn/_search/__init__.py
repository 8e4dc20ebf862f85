"""Searches, which name the pairs that may fire, exactly, and the index structures below them."""
