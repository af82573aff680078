"""The attacks of `attack.py`, one a file, and what they share: commands, and runs compared with undisturbed ones."""
