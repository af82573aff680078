"""Callbacks that choose images, ask the model, and log. Each is a node of the config group `callbacks`."""
