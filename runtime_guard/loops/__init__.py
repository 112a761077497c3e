"""Follows the training's loop: which batch, which step, and what it takes to run one again."""
