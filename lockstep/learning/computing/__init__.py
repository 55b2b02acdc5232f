"""Where folds are computed, whether it is the same there, and what is kept of what is finished."""
