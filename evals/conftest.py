"""Self-tests of the instruments judge the suite, not a model: they run when they are asked for by name."""

collect_ignore = ["selftest"]
