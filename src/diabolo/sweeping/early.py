"""Imported first by the process that all jobs of a sweep are forked from: it imports as the program itself does."""

from diabolo.runs.collecting import collect_seldom
from diabolo.runs.deferred import defer

defer()
collect_seldom()
