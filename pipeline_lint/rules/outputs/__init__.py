"""Rules about what models and datasets return (TRN1xx)."""
