"""semibench schema: the JSON Schema of a result, for other programs."""

import json

from click.testing import CliRunner

from semibench.harness.commands.schema import command


def test_the_schema_is_printed_as_json():
    schema = json.loads(CliRunner().invoke(command, []).stdout)
    assert schema["title"] == "Result"
    assert {"schema", "digest", "seed", "miou", "confusion", "macs"} <= set(schema["required"])
