"""Experiments on pairs of models.

race.py       with and without a draft, in turn: the speedup, and how sure it is (interval.py)
audit.py      drafts against a main model's own answers: every setting at once, without running it
replay.py     what a setting does to one text, exactly, from two lists
costs.py      what the parts of a round take here; with an audit: predicted speed
diagnosis.py  why a pair is as fast as it is
sweep.py      real runs over a grid, resumable; report.py: leaderboard, Pareto, table
prompts.py    prompts, one by one or from files with categories
command.py    `specviz race | audit | sweep`
"""
