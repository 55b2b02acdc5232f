"""The commands about the repository itself: a new one, a merge, its remote, its health."""
