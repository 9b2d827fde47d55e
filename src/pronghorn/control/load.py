"""TOML text to a configuration, or every mistake in it at once.

Three readings, each of which reports all it finds: the syntax (the standard library), the shape and each value by
itself (the model), the values against each other (check.py). A later one needs the earlier ones to be clean.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pronghorn.control import check, describe
from pronghorn.control.access_settings import read_files
from pronghorn.control.fields import kind_of
from pronghorn.control.model import Config
from pronghorn.control.places import line_of, places
from pronghorn.control.problems import MISSING, ConfigError, Problem, key_text, meant, value_text


def load(path: FilePath | str) -> Config:
    """Read a file. Raises ConfigError."""
    file = str(path)
    try:
        octets = FilePath(path).read_bytes()
    except OSError as error:
        raise ConfigError([Problem(file, None, "", None, f"cannot be read: {error.strerror}")]) from None
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(file, line, "", None, "is not UTF-8 text")]) from None
    return loads(text, file)


def loads(text: str, file: str = "configuration") -> Config:
    """Read a text; `file` is only for messages. Raises ConfigError."""
    try:
        data = tomllib.loads(text)
    except ValueError as error:  # the reader's own, or that of a number with too many digits
        raise ConfigError([_syntax(str(error), text, file)]) from None
    except RecursionError:
        raise ConfigError([Problem(file, None, "", None, "is nested too deeply")]) from None
    return parse(data, file, text)


def parse(data: Mapping[str, Any], file: str = "configuration", text: str = "") -> Config:
    """Plain data to a configuration; `text` is where it was read from, for line numbers. Raises ConfigError."""
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise mistakes(error, Config, file, text) from None
    config, unread = read_files(config)
    found = [check.Finding(*one) for one in unread] or list(check.check(config))
    if found:
        raise ConfigError(_Places(file, text).problems(found))
    return config


def mistakes(error: ValidationError, model: type[BaseModel], file: str = "", text: str = "") -> ConfigError:
    """What the model found, in our words and with lines."""
    return ConfigError(_Places(file, text).problems([_finding(model, detail) for detail in error.errors()]))


class _Places:
    """Adds file, line and source line to findings. Looks for lines only when something is wrong."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.source = text.splitlines()
        try:
            self.lines = places(text) if text else {}
        except RecursionError:  # nesting that no model allows; the file's name has to do
            self.lines = {}

    def problems(self, findings: list[check.Finding]) -> list[Problem]:
        return [self._problem(finding) for finding in findings]

    def _problem(self, finding: check.Finding) -> Problem:
        line = line_of(self.lines, finding.path)
        source = self.source[line - 1] if line else None
        key, value = key_text(finding.path), value_text(finding.value)
        return Problem(self.file, line, key, value, finding.wrong, finding.allowed, finding.meant, source)


def _syntax(message: str, text: str, file: str) -> Problem:
    """The standard library's sentence, "... (at line 3, column 5)" or "... (at end of document)"."""
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    lines = text.splitlines()
    wrong = match[1] if match else message
    line = int(match[2]) if match and match[2] else max(len(lines), 1)
    source = lines[line - 1] if line <= len(lines) else None
    return Problem(file, line, "", None, f"not TOML: {wrong[:1].lower()}{wrong[1:]}", source=source)


def _finding(model: type[BaseModel], detail: ErrorDetails) -> check.Finding:
    """One mistake as the model sees it, in our words."""
    kind, path, value = detail["type"], detail["loc"], detail["input"]
    field = describe.field_at(model, path)
    if kind == "extra_forbidden":
        section = describe.section_at(model, path[:-1])
        keys = list(section.model_fields) if section else []
        return check.Finding(path, value, "unknown key", ", ".join(keys), meant(path[-1], keys))
    allowed = describe.allowed(field) if field else None
    if allowed and isinstance(path[-1], int):
        allowed = allowed.removeprefix("an array, each: ")
    if kind == "missing":
        return check.Finding(path, MISSING, "missing", allowed)
    if kind == "literal_error" and field:
        near = meant(value, describe.choices(field))
        return check.Finding(path, value, "unknown", allowed, f'"{near}"' if near else None)
    if kind == "value_error":
        return check.Finding(path, value, str(detail["ctx"]["error"]), allowed)
    sentences = {"greater_than_equal": "is too small", "less_than_equal": "is too large"}
    return check.Finding(path, value, sentences.get(kind, f"is {kind_of(value)}"), allowed)
