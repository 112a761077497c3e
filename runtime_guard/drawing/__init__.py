"""Pictures of what was measured, made of plain numbers with Pillow alone."""
