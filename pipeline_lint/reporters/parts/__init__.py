"""What several reporters share: drawing source lines, counting, fingerprints."""
