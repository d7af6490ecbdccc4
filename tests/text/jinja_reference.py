"""Chat templates as Hugging Face's apply_chat_template renders them: jinja2, sandboxed, with its functions and filters."""
import datetime
import json

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    """{% generation %}: marks what the model wrote; the text stays as it is."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_same"), [], [], body).set_lineno(line)

    def _same(self, caller):
        return caller()


class Raised(jinja2.exceptions.TemplateError):
    """What raise_exception throws."""


def make_environment(now):
    def raise_exception(message):
        raise Raised(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.datetime.fromtimestamp(now).strftime(form)
    return environment


def render(template, context, now):
    """{"text": ...} or {"error": ..., "raised": whether the template raised it itself}."""
    try:
        return {"text": make_environment(now).from_string(template).render(**context)}
    except Raised as error:
        return {"error": str(error), "raised": True}
    except Exception as error:  # every failure of a template counts the same
        return {"error": f"{type(error).__name__}: {error}", "raised": False}
