"""Which values expressions can have: an abstract interpreter over intervals; ask for it by `source.fact(Ranges)`."""
