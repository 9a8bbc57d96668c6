"""Values as bounded texts, as they are, or as fingerprints."""
