"""The model card of an export.

Authors
 * The afpt_plugin developers 2026
"""

import re
from pathlib import Path

import jinja2

CARD_FILE = "README.md"
#: Placeholder for the export's address, until `afpt push` fills it in.
CARD_SOURCE = "path/to/this"
CARD_TEMPLATE = Path(__file__).parent / "assets" / "export_card.md.j2"

# Licenses that the hub has a name for; it calls any other license "other".
LICENSES = (
    *("apache-2.0", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0"),
    *("cc-by-sa-4.0", "cc0-1.0", "mit", "ms-pl", "unknown"),
)


def model_card(export):
    """The text of an `afpt_plugin.export.Export`'s card (str)."""
    heads = {k: v for k, v in export.metrics.items() if isinstance(v, dict)}
    columns = sorted(
        {
            name
            for values in heads.values()
            for name, value in values.items()
            if isinstance(value, (int, float))
        }
    )
    template = jinja2.Template(
        CARD_TEMPLATE.read_text(encoding="utf-8"), keep_trailing_newline=True
    )
    # The source of the license follows in parentheses.
    name = export.facts["clap_licence"].partition(" (")[0].lower()
    return template.render(
        export=export,
        heads=heads,
        columns=columns,
        place=CARD_SOURCE,
        license=name if name in LICENSES else "other",
        license_name=re.sub("[^a-z0-9.]+", "-", name).strip("-"),
    )
