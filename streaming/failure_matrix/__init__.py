"""Everything that can break, broken on purpose, one case a day of one stream's life; then every row against the rebuild."""
