"""Named outputs: tuples that models and datasets give become dicts, together with everything that takes them apart."""
