"""How fast a model could run on a device: the work that its shapes ask for over what the device was measured to do."""
