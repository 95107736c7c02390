"""Documents, questions and answers of our own making, deterministic by seed. See ../README.md."""
