"""One HTML page over what runs left on disk: the demo (evaluation, codebook, stream, live session, lineage) or a comparison."""
