"""The common base of this API version's models: camelCase names, no unknown fields, CEL rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import core_schema

from leakwarden.api.scalars import (
    AMOUNT_PATTERN,
    DURATION_PATTERN,
    MAX_AMOUNT,
    cel_milliseconds,
    parse_amount,
    parse_duration,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that one field alone cannot state. The API server evaluates `cel`, Python `holds`; one row is both."""

    cel: str  # a CEL expression over `self`, true where the rule holds
    message: str
    holds: Callable[[Any], bool]  # the same rule for the model
    # A message that names the value, where a fixed message is not enough.
    words: Callable[[Any], str] | None = None

    def broken(self, value: Any) -> str:
        """The message for people; empty where the rule holds."""
        if self.holds(value):
            return ""
        return self.words(value) if self.words is not None else self.message


class Model(BaseModel):
    """Base of every API model. Frozen, since a policy is a value that decisions are made from. Its RULES stand in the
    CRD as well, by `model_config = ruled(RULES)`."""

    RULES: ClassVar[tuple[Rule, ...]] = ()

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for rule in self.RULES:
            if said := rule.broken(self):
                raise ValueError(said)
        return self


class LenientModel(Model):
    """Base of status models: read the output of an older or newer operator without failing."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """CEL rules (expression, message) for `json_schema_extra`."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


def ruled(table: tuple[Rule, ...]) -> ConfigDict:
    """The configuration of a model whose RULES the API server enforces as well."""
    return ConfigDict(json_schema_extra=rules(*((rule.cel, rule.message) for rule in table)))


# Checked before the pattern, which states the same rule for the API server but not in a readable message.
def _check_duration(value: Any) -> Any:
    if isinstance(value, str):
        parse_duration(value)
    return value


def _check_amount(value: Any) -> Any:
    """A whole number may be written as one, as people do; the API server takes no other number here."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, float):
        raise ValueError(f'write a number with a fraction as text: "{value}"')
    if isinstance(value, str):
        parse_amount(value)
    return value


@dataclass(frozen=True, slots=True)
class Within:
    """The least and the most that a duration may be, both included: a rule of the schema and of the model."""

    least: str
    most: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        value = cel_milliseconds("self")
        rule = f"{value} <= {round(parse_duration(self.most) * 1000)}"
        if parse_duration(self.least) > 0:
            rule = f"{value} >= {round(parse_duration(self.least) * 1000)} && {rule}"
        return {**handler(schema), **rules((rule, f"must be from {self.least} to {self.most}"))}

    def _check(self, value: str) -> str:
        if not parse_duration(self.least) <= parse_duration(value) <= parse_duration(self.most):
            raise ValueError(f"must be from {self.least} to {self.most}")
        return value


class _IntOrText:
    """In the schema: a whole number, or text."""

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            **{key: value for key, value in handler(schema).items() if key != "type"},
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maximum": MAX_AMOUNT,
        }


Duration = Annotated[
    str,
    Field(pattern=DURATION_PATTERN, min_length=2, max_length=32),
    BeforeValidator(_check_duration),
]
AmountText = Annotated[
    str,
    Field(pattern=AMOUNT_PATTERN, max_length=32),
    BeforeValidator(_check_amount),
    _IntOrText(),
]
