"""The suite's two plugins: options and fixtures, and the reporter."""

pytest_plugins = ["fixtures.plugin", "reports.plugin"]
