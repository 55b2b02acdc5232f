"""All models of a problem, best first: in words, as a page, in JSON."""
