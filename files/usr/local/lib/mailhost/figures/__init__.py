"""Figures about mail over time: counts, times and sizes, never content or addresses of others."""
