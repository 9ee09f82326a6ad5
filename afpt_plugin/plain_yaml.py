"""Read untrusted YAML: only plain values, of limited number and size.

>>> yaml.load("{a: [1, text]}", PlainLoader)
{'a': [1, 'text']}
>>> yaml.load("a: !!python/name:os.system", PlainLoader)
Traceback (most recent call last):
...
yaml.error.YAMLError: it holds the tag tag:yaml.org,2002:python/name:os.system

Authors
 * The afpt_plugin developers 2026
"""

import yaml

# Limits: length of a text, nesting, length of a list, values in all lists.
MAX_TEXT = 10_000
MAX_DEPTH = 20
MAX_ITEMS = 10_000
MAX_VALUES = 50_000


class PlainLoader(yaml.SafeLoader):
    """Loads plain values: no tags, and no aliases, which can multiply them."""

    depth = n_values = 0

    def compose_node(self, parent, index):
        """Refuse tags, aliases and values above the limits, before building."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise yaml.YAMLError("it holds an anchor or an alias")
        if event.tag is not None:
            raise yaml.YAMLError(f"it holds the tag {event.tag:.60}")
        if len(getattr(event, "value", "")) > MAX_TEXT:
            raise yaml.YAMLError(f"a value is longer than {MAX_TEXT}")
        self.n_values += 1
        if self.n_values > MAX_VALUES:
            raise yaml.YAMLError(f"it has more than {MAX_VALUES} values")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.YAMLError(f"it is more than {MAX_DEPTH} levels deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        if len(node.value) > MAX_ITEMS and not isinstance(
            event, yaml.ScalarEvent
        ):
            raise yaml.YAMLError(f"a list has more than {MAX_ITEMS} values")
        if isinstance(node, yaml.MappingNode):
            names = [key.value for key, _ in node.value]
            if len({str(name) for name in names}) < len(names):
                raise yaml.YAMLError("a name is given twice")
        return node
