"""Hydra plugins of diabolo: the launcher `pool`, which runs a sweep's jobs side by side, and the sweeper `grid`, which
runs only those that are not done. Hydra imports what is here at every start, so that nothing heavy may be: the work is
done in `diabolo.sweeping`."""
