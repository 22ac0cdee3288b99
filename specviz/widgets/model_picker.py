"""The selector of models, on its own."""

from __future__ import annotations

from html import escape
from typing import Any

import traitlets as t

from specviz.widgets.model_choice import ModelChoice


class ModelPicker(ModelChoice):
    """Choose a main model and a draft that fits it, from all models on this machine.

    The list is searched for in the background. Of a draft that does not fit it is said why.

    Parameters
    ----------
    main, draft
        What is chosen at first, as for `specviz.load`.

    Raises
    ------
    ModelNotFoundError
        If a model cannot be found.

    Examples
    --------
    >>> picker = sv.ModelPicker()
    >>> picker                                           # choose
    >>> pair = sv.load(picker.main, picker.draft)
    """

    view = t.Unicode("picker").tag(sync=True)

    def _follow_main(self, change: Any) -> None:
        super()._follow_main(change)
        self._follow_in_record()

    def _follow_draft(self, change: Any) -> None:
        super()._follow_draft(change)
        self._follow_in_record()

    def _follow_in_record(self) -> None:
        if self._record_shown:
            self._update_record(self._html())

    def _html(self) -> str:
        return f"<p>{escape(repr(self))}</p>"

    def _ipython_display_(self, **_: Any) -> None:
        self._display_with_record(self._html())

    def __repr__(self) -> str:
        return f"{self.chosen.get('main') or 'no main model'} with {self.chosen.get('draft') or 'no draft'}"
