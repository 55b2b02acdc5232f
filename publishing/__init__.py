"""What makes the pages and pictures of the documentation that come from the product itself (``make pages``).

Lockstep's own: a repository that ``new`` makes has the pages, and not this folder.
"""
