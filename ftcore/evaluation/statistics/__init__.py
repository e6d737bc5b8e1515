"""Intervals, tests and numbers of rows that every task uses: no labels, no texts, only numbers per row or group."""
