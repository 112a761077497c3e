"""Public training scripts, bare and under the guard; results in ../scripts.md."""
