"""What goes into a distribution besides the package: what npm built, the launcher's card, the tutorials."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = ("specviz/static/widgets.js", "specviz/static/widgets.css", "js/launcher/static/launcher.js")
TUTORIALS = ("notebooks/*.ipynb", "notebooks/traces/*.jsonl")


class BundleHook(BuildHookInterface):
    """Check that `make setup` (or `npm run build` in js/) has been run before packing, and complete the wheel."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Raise if what npm builds is missing; an editable installation takes everything from the checkout instead."""
        if version == "editable":
            return
        missing = [name for name in BUILT if not Path(self.root, name).is_file()]
        if missing:
            raise FileNotFoundError(f"{', '.join(missing)} not found: run `npm ci && npm run build` in js/ first.")
        if self.target_name == "wheel":
            build_data["shared_data"] = {"js/launcher": "share/jupyter/labextensions/specviz-lab"}
            for path in (path for pattern in TUTORIALS for path in Path(self.root).glob(pattern)):
                name = path.relative_to(self.root).as_posix()
                build_data["force_include"][name] = f"specviz/{name}"
