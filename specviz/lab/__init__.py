"""Experiments on pairs of models.

replay.py     what another draft length or cutoff would have done to a text, exactly, from two lists
audit.py      `sv.audit`: drafts against a main model's own answers, every setting at once
command.py    `specviz audit`
"""
