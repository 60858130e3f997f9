"""One HTML page over what the last runs left on disk: evaluation, codebook, stream, live session, lineage."""
