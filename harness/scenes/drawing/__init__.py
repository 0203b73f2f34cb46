"""How a scene becomes pixels."""
