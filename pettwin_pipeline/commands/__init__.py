"""What the verbs of `pettwin` do, one a file. Imported by `cli` when a verb is used."""
