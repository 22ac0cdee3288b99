"""Refuse to build a distribution that lacks the JavaScript bundle."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLE = ("widgets.js", "widgets.css")


class BundleHook(BuildHookInterface):
    """Check that `make setup` (or `npm run build` in js/) has been run before packing."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Raise if the bundle is missing; an editable install may come before it."""
        if version == "editable":
            return
        static = Path(self.root, "specviz", "static")
        missing = [name for name in BUNDLE if not (static / name).is_file()]
        if missing:
            raise FileNotFoundError(
                f"specviz/static lacks {', '.join(missing)}: build it first with `npm ci && npm run build` in js/."
            )
