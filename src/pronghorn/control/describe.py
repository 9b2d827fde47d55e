"""What the model says about its own keys: the allowed values, the default, the sections inside.

Error messages (load.py) and the reference page (reference.py) both ask here.
"""

import types
import typing
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pronghorn.control.places import Path


def allowed(field: FieldInfo) -> str:
    """The values that a key may have, in words."""
    return _allowed(field.annotation, (field, *field.metadata))


def section(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a key holds, one or many of; None for a plain value."""
    found = _strip(field.annotation)
    if get_origin(found) is tuple:
        found = _strip(get_args(found)[0])
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def is_array(field: FieldInfo) -> bool:
    found = _strip(field.annotation)
    return get_origin(found) is tuple and get_args(found)[-1] is ...


def field_at(model: type[BaseModel], path: Path) -> FieldInfo | None:
    """The field that a path leads to; the array's field for an element of an array."""
    inside: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for part in path:
        if isinstance(part, int):
            continue
        if inside is None or part not in inside.model_fields:
            return None
        field = inside.model_fields[part]
        inside = section(field)
    return field


def section_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The section that a path leads to."""
    if not path:
        return model
    field = field_at(model, path)
    return section(field) if field else None


def choices(field: FieldInfo) -> list[str]:
    """The words of a key that takes one of several words."""
    found = _strip(field.annotation)
    return [str(word) for word in get_args(found)] if get_origin(found) is Literal else []


def _strip(annotation: Any) -> Any:
    """Without Annotated and without None."""
    if get_origin(annotation) is typing.Annotated:
        return _strip(get_args(annotation)[0])
    if get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        return _strip(rest[0]) if len(rest) == 1 else annotation
    return annotation


def _allowed(annotation: Any, metadata: tuple[Any, ...]) -> str:
    for note in metadata:
        extra = note.json_schema_extra if isinstance(note, FieldInfo) else None
        if isinstance(extra, dict) and "allowed" in extra:
            return str(extra["allowed"])
    arguments = get_args(annotation)
    if get_origin(annotation) is typing.Annotated:
        return _allowed(arguments[0], (*arguments[1:], *metadata))
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return _allowed(next(part for part in arguments if part is not type(None)), metadata)
    if get_origin(annotation) is Literal:
        return ", ".join(f'"{word}"' for word in arguments)
    if get_origin(annotation) is tuple:
        return "an array, each: " + _allowed(arguments[0], ())
    return _plain(annotation, metadata)


def _plain(annotation: Any, metadata: tuple[Any, ...]) -> str:
    if annotation is bool:
        return "true, false"
    if annotation is int:
        notes = [*metadata, *(note for field in metadata if isinstance(field, FieldInfo) for note in field.metadata)]
        low = next((note.ge for note in notes if hasattr(note, "ge")), None)
        high = next((note.le for note in notes if hasattr(note, "le")), None)
        return f"{low}..{high}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "a table with the keys " + ", ".join(annotation.model_fields)
    return "a string"
