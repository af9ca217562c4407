from image2poem.v1 import poem_pb2 as _poem_pb2
from image2poem.v1 import rules_pb2 as _rules_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Tone(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TONE_UNSPECIFIED: _ClassVar[Tone]
    TONE_LEVEL: _ClassVar[Tone]
    TONE_OBLIQUE: _ClassVar[Tone]
    TONE_EITHER: _ClassVar[Tone]

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_GOOD: _ClassVar[Verdict]
    VERDICT_RESCUED: _ClassVar[Verdict]
    VERDICT_FAULTY: _ClassVar[Verdict]
    VERDICT_UNKNOWN: _ClassVar[Verdict]

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_WARNING: _ClassVar[Severity]
    SEVERITY_ERROR: _ClassVar[Severity]
TONE_UNSPECIFIED: Tone
TONE_LEVEL: Tone
TONE_OBLIQUE: Tone
TONE_EITHER: Tone
VERDICT_UNSPECIFIED: Verdict
VERDICT_GOOD: Verdict
VERDICT_RESCUED: Verdict
VERDICT_FAULTY: Verdict
VERDICT_UNKNOWN: Verdict
SEVERITY_UNSPECIFIED: Severity
SEVERITY_WARNING: Severity
SEVERITY_ERROR: Severity

class Reading(_message.Message):
    __slots__ = ("tone", "rhyme_group", "prior")
    TONE_FIELD_NUMBER: _ClassVar[int]
    RHYME_GROUP_FIELD_NUMBER: _ClassVar[int]
    PRIOR_FIELD_NUMBER: _ClassVar[int]
    tone: Tone
    rhyme_group: str
    prior: float
    def __init__(self, tone: _Optional[_Union[Tone, str]] = ..., rhyme_group: _Optional[str] = ..., prior: _Optional[float] = ...) -> None: ...

class CharacterCheck(_message.Message):
    __slots__ = ("text", "tone", "readings", "required", "verdict")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TONE_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    text: str
    tone: Tone
    readings: _containers.RepeatedCompositeFieldContainer[Reading]
    required: Tone
    verdict: Verdict
    def __init__(self, text: _Optional[str] = ..., tone: _Optional[_Union[Tone, str]] = ..., readings: _Optional[_Iterable[_Union[Reading, _Mapping]]] = ..., required: _Optional[_Union[Tone, str]] = ..., verdict: _Optional[_Union[Verdict, str]] = ...) -> None: ...

class LineCheck(_message.Message):
    __slots__ = ("text", "characters", "rhymed")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    RHYMED_FIELD_NUMBER: _ClassVar[int]
    text: str
    characters: _containers.RepeatedCompositeFieldContainer[CharacterCheck]
    rhymed: bool
    def __init__(self, text: _Optional[str] = ..., characters: _Optional[_Iterable[_Union[CharacterCheck, _Mapping]]] = ..., rhymed: bool = ...) -> None: ...

class Fault(_message.Message):
    __slots__ = ("kind", "name", "severity", "line", "positions", "explanation")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    severity: Severity
    line: int
    positions: _containers.RepeatedScalarFieldContainer[int]
    explanation: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., line: _Optional[int] = ..., positions: _Optional[_Iterable[int]] = ..., explanation: _Optional[str] = ...) -> None: ...

class Rescue(_message.Message):
    __slots__ = ("kind", "name", "line", "positions", "explanation")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    line: int
    positions: _containers.RepeatedScalarFieldContainer[int]
    explanation: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., line: _Optional[int] = ..., positions: _Optional[_Iterable[int]] = ..., explanation: _Optional[str] = ...) -> None: ...

class CheckPoemRequest(_message.Message):
    __slots__ = ("text", "rhyme_book")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    RHYME_BOOK_FIELD_NUMBER: _ClassVar[int]
    text: str
    rhyme_book: _rules_pb2.RhymeBook
    def __init__(self, text: _Optional[str] = ..., rhyme_book: _Optional[_Union[_rules_pb2.RhymeBook, str]] = ...) -> None: ...

class CheckPoemResponse(_message.Message):
    __slots__ = ("form", "pattern", "rhyme_book", "rhyme_group", "conforms", "lines", "faults", "pattern_name", "conforms_resolved", "rescues")
    FORM_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    RHYME_BOOK_FIELD_NUMBER: _ClassVar[int]
    RHYME_GROUP_FIELD_NUMBER: _ClassVar[int]
    CONFORMS_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    PATTERN_NAME_FIELD_NUMBER: _ClassVar[int]
    CONFORMS_RESOLVED_FIELD_NUMBER: _ClassVar[int]
    RESCUES_FIELD_NUMBER: _ClassVar[int]
    form: _poem_pb2.Form
    pattern: _rules_pb2.TonalPattern
    rhyme_book: _rules_pb2.RhymeBook
    rhyme_group: str
    conforms: bool
    lines: _containers.RepeatedCompositeFieldContainer[LineCheck]
    faults: _containers.RepeatedCompositeFieldContainer[Fault]
    pattern_name: str
    conforms_resolved: bool
    rescues: _containers.RepeatedCompositeFieldContainer[Rescue]
    def __init__(self, form: _Optional[_Union[_poem_pb2.Form, str]] = ..., pattern: _Optional[_Union[_rules_pb2.TonalPattern, str]] = ..., rhyme_book: _Optional[_Union[_rules_pb2.RhymeBook, str]] = ..., rhyme_group: _Optional[str] = ..., conforms: bool = ..., lines: _Optional[_Iterable[_Union[LineCheck, _Mapping]]] = ..., faults: _Optional[_Iterable[_Union[Fault, _Mapping]]] = ..., pattern_name: _Optional[str] = ..., conforms_resolved: bool = ..., rescues: _Optional[_Iterable[_Union[Rescue, _Mapping]]] = ...) -> None: ...
