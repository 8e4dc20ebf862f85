"""Searches, which list every pair that may fire, and the index structures below them."""
