"""Write the reference pages, ``docs/<name>.md`` from ``docs/pages/<name>.py``: ``make docs``."""

import importlib
from pathlib import Path

from semibench.files import write_text

DOCS = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the pages: of the files in ``docs/pages`` without an underscore in front."""
    return sorted(path.stem for path in (DOCS / "pages").glob("*.py") if not path.stem.startswith("_"))


def generate(name: str) -> str:
    """Return a page, importing that page alone: some need more than others."""
    page: str = importlib.import_module(f"docs.pages.{name}").page()
    return f"<!-- Written by 'make docs' from docs/pages/{name}.py: change what it reads, not this page. -->\n\n{page}"


def main() -> None:
    """Write every page."""
    for name in names():
        write_text(DOCS / f"{name}.md", generate(name))


if __name__ == "__main__":
    main()
