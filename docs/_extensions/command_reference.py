"""The directive ``command``: the options of a command of ``aptnn-md``, from its parser."""

import argparse
import textwrap

from docutils import nodes
from docutils.parsers.rst import Directive

from aptnn_md.cli import command_parser


class Command(Directive):
    """``{command} spectrum ir`` describes that command."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        """Nodes of the description."""
        words = self.arguments[0].split()
        parser = parser_of(words)
        text, example = parser.description, parser.epilog or ""
        found = [paragraph(part) for part in text.split("\n\n")]
        found.append(literal(parser.format_usage().removeprefix("usage: "), "text"))
        for group in parser._action_groups:
            actions = [a for a in group._group_actions if a.help is not argparse.SUPPRESS]
            if actions and not isinstance(actions[0], argparse._SubParsersAction):
                found.append(nodes.rubric(text=(group.title or "").capitalize()))
                found.append(definitions(parser, actions))
        if example:
            _, _, lines = example.partition("\n")
            found += [nodes.rubric(text="Example"), literal(textwrap.dedent(lines), "text")]
        return found


def paragraph(text):
    """A paragraph in which what stands between backticks is literal."""
    found = nodes.paragraph()
    for number, piece in enumerate(text.split("`")):
        found += nodes.literal(text=piece) if number % 2 else nodes.Text(piece)
    return found


def literal(text, language):
    """A block of code."""
    found = nodes.literal_block(text=text)
    found["language"] = language
    return found


def parser_of(words):
    """The parser of a command, or of a kind of it."""
    parser = command_parser(words[0])
    for word in words:
        (choices,) = (
            action.choices
            for action in parser._actions
            if isinstance(action, argparse._SubParsersAction)
        )
        parser = choices[word]
    return parser


def definitions(parser, actions):
    """A list of options and what they mean."""
    formatter = parser._get_formatter()
    entries = nodes.definition_list()
    for action in actions:
        name = nodes.term()
        name += nodes.literal(text=formatter._format_action_invocation(action))
        meaning = nodes.definition()
        meaning += paragraph(formatter._expand_help(action) if action.help else "")
        item = nodes.definition_list_item()
        item += [name, meaning]
        entries += item
    return entries


def setup(app):
    """Register the directive."""
    app.add_directive("command", Command)
    return {"parallel_read_safe": True}
