from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RhymeBook(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RHYME_BOOK_UNSPECIFIED: _ClassVar[RhymeBook]
    RHYME_BOOK_PINGSHUI: _ClassVar[RhymeBook]
    RHYME_BOOK_CILIN: _ClassVar[RhymeBook]
    RHYME_BOOK_XINYUN: _ClassVar[RhymeBook]
    RHYME_BOOK_TONGYUN: _ClassVar[RhymeBook]

class TonalPattern(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TONAL_PATTERN_UNSPECIFIED: _ClassVar[TonalPattern]
    TONAL_PATTERN_A_UNRHYMED: _ClassVar[TonalPattern]
    TONAL_PATTERN_A_RHYMED: _ClassVar[TonalPattern]
    TONAL_PATTERN_B_UNRHYMED: _ClassVar[TonalPattern]
    TONAL_PATTERN_B_RHYMED: _ClassVar[TonalPattern]
RHYME_BOOK_UNSPECIFIED: RhymeBook
RHYME_BOOK_PINGSHUI: RhymeBook
RHYME_BOOK_CILIN: RhymeBook
RHYME_BOOK_XINYUN: RhymeBook
RHYME_BOOK_TONGYUN: RhymeBook
TONAL_PATTERN_UNSPECIFIED: TonalPattern
TONAL_PATTERN_A_UNRHYMED: TonalPattern
TONAL_PATTERN_A_RHYMED: TonalPattern
TONAL_PATTERN_B_UNRHYMED: TonalPattern
TONAL_PATTERN_B_RHYMED: TonalPattern

class FixedText(_message.Message):
    __slots__ = ("line", "position", "text")
    LINE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    line: int
    position: int
    text: str
    def __init__(self, line: _Optional[int] = ..., position: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class Rules(_message.Message):
    __slots__ = ("unregulated", "pattern", "rhyme_book", "rhyme_group", "acrostic", "fixed_texts")
    UNREGULATED_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    RHYME_BOOK_FIELD_NUMBER: _ClassVar[int]
    RHYME_GROUP_FIELD_NUMBER: _ClassVar[int]
    ACROSTIC_FIELD_NUMBER: _ClassVar[int]
    FIXED_TEXTS_FIELD_NUMBER: _ClassVar[int]
    unregulated: bool
    pattern: TonalPattern
    rhyme_book: RhymeBook
    rhyme_group: str
    acrostic: str
    fixed_texts: _containers.RepeatedCompositeFieldContainer[FixedText]
    def __init__(self, unregulated: bool = ..., pattern: _Optional[_Union[TonalPattern, str]] = ..., rhyme_book: _Optional[_Union[RhymeBook, str]] = ..., rhyme_group: _Optional[str] = ..., acrostic: _Optional[str] = ..., fixed_texts: _Optional[_Iterable[_Union[FixedText, _Mapping]]] = ...) -> None: ...

class Conformity(_message.Message):
    __slots__ = ("conforms", "conforms_resolved", "pattern", "rhyme_book", "rhyme_group")
    CONFORMS_FIELD_NUMBER: _ClassVar[int]
    CONFORMS_RESOLVED_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    RHYME_BOOK_FIELD_NUMBER: _ClassVar[int]
    RHYME_GROUP_FIELD_NUMBER: _ClassVar[int]
    conforms: bool
    conforms_resolved: bool
    pattern: TonalPattern
    rhyme_book: RhymeBook
    rhyme_group: str
    def __init__(self, conforms: bool = ..., conforms_resolved: bool = ..., pattern: _Optional[_Union[TonalPattern, str]] = ..., rhyme_book: _Optional[_Union[RhymeBook, str]] = ..., rhyme_group: _Optional[str] = ...) -> None: ...
