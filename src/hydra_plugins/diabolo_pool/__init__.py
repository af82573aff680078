"""Hydra plugins of diabolo: the launcher `pool`, which runs a sweep's jobs in worker processes, and the sweeper `grid`,
which runs only those that are not done. Hydra imports what is here at every start, so that nothing heavy may be; it
leaves out modules whose names begin with an underscore."""
