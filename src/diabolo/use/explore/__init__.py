"""A page in which the models of runs are explored, their networks running in the page."""
