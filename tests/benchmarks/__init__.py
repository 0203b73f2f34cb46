"""Measurements of the suite itself; too long for every test run."""
