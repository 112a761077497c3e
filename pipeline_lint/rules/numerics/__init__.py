"""Rules about operations that give NaN or Inf (TRN2xx)."""
