"""What can be shown on a GPU alone; elsewhere these tests skip and say why."""
