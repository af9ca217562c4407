from image2poem.v1 import poem_pb2 as _poem_pb2
from image2poem.v1 import prosody_pb2 as _prosody_pb2
from image2poem.v1 import rules_pb2 as _rules_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Vector(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class LookupKeywordsRequest(_message.Message):
    __slots__ = ("picture", "text", "vector", "top_k")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    picture: bytes
    text: str
    vector: Vector
    top_k: int
    def __init__(self, picture: _Optional[bytes] = ..., text: _Optional[str] = ..., vector: _Optional[_Union[Vector, _Mapping]] = ..., top_k: _Optional[int] = ...) -> None: ...

class LookupKeywordsResponse(_message.Message):
    __slots__ = ("keywords", "index_version", "timings")
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    INDEX_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    keywords: _containers.RepeatedCompositeFieldContainer[_poem_pb2.Keyword]
    index_version: str
    timings: _poem_pb2.Timings
    def __init__(self, keywords: _Optional[_Iterable[_Union[_poem_pb2.Keyword, _Mapping]]] = ..., index_version: _Optional[str] = ..., timings: _Optional[_Union[_poem_pb2.Timings, _Mapping]] = ...) -> None: ...

class KeywordList(_message.Message):
    __slots__ = ("words",)
    WORDS_FIELD_NUMBER: _ClassVar[int]
    words: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, words: _Optional[_Iterable[str]] = ...) -> None: ...

class ComposePoemRequest(_message.Message):
    __slots__ = ("picture", "keywords", "text", "poet", "form", "top_k", "sampling", "seed", "candidates", "subject", "line_choices", "rules")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    POET_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    LINE_CHOICES_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    picture: bytes
    keywords: KeywordList
    text: str
    poet: str
    form: _poem_pb2.Form
    top_k: int
    sampling: _poem_pb2.Sampling
    seed: int
    candidates: int
    subject: str
    line_choices: int
    rules: _rules_pb2.Rules
    def __init__(self, picture: _Optional[bytes] = ..., keywords: _Optional[_Union[KeywordList, _Mapping]] = ..., text: _Optional[str] = ..., poet: _Optional[str] = ..., form: _Optional[_Union[_poem_pb2.Form, str]] = ..., top_k: _Optional[int] = ..., sampling: _Optional[_Union[_poem_pb2.Sampling, _Mapping]] = ..., seed: _Optional[int] = ..., candidates: _Optional[int] = ..., subject: _Optional[str] = ..., line_choices: _Optional[int] = ..., rules: _Optional[_Union[_rules_pb2.Rules, _Mapping]] = ...) -> None: ...

class ComposePoemResponse(_message.Message):
    __slots__ = ("retrieved", "token", "line", "finished")
    RETRIEVED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    retrieved: _poem_pb2.Retrieved
    token: _poem_pb2.Token
    line: _poem_pb2.Line
    finished: _poem_pb2.Finished
    def __init__(self, retrieved: _Optional[_Union[_poem_pb2.Retrieved, _Mapping]] = ..., token: _Optional[_Union[_poem_pb2.Token, _Mapping]] = ..., line: _Optional[_Union[_poem_pb2.Line, _Mapping]] = ..., finished: _Optional[_Union[_poem_pb2.Finished, _Mapping]] = ...) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PoetInfo(_message.Message):
    __slots__ = ("name", "architecture", "forms", "fingerprint", "execution_providers", "subjects")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    FORMS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    architecture: str
    forms: _containers.RepeatedScalarFieldContainer[_poem_pb2.Form]
    fingerprint: str
    execution_providers: _containers.RepeatedScalarFieldContainer[str]
    subjects: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., architecture: _Optional[str] = ..., forms: _Optional[_Iterable[_Union[_poem_pb2.Form, str]]] = ..., fingerprint: _Optional[str] = ..., execution_providers: _Optional[_Iterable[str]] = ..., subjects: _Optional[_Iterable[str]] = ...) -> None: ...

class EncoderInfo(_message.Message):
    __slots__ = ("name", "fingerprint", "dimension", "execution_providers")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    fingerprint: str
    dimension: int
    execution_providers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., fingerprint: _Optional[str] = ..., dimension: _Optional[int] = ..., execution_providers: _Optional[_Iterable[str]] = ...) -> None: ...

class IndexInfo(_message.Message):
    __slots__ = ("version", "size", "kind")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    version: str
    size: int
    kind: str
    def __init__(self, version: _Optional[str] = ..., size: _Optional[int] = ..., kind: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_message_bytes", "max_picture_pixels", "max_top_k", "max_candidates", "max_keywords", "max_keyword_characters", "max_text_characters", "max_line_choices", "max_lines_at_once")
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_PICTURE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_TOP_K_FIELD_NUMBER: _ClassVar[int]
    MAX_CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    MAX_KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    MAX_KEYWORD_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    MAX_TEXT_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    MAX_LINE_CHOICES_FIELD_NUMBER: _ClassVar[int]
    MAX_LINES_AT_ONCE_FIELD_NUMBER: _ClassVar[int]
    max_message_bytes: int
    max_picture_pixels: int
    max_top_k: int
    max_candidates: int
    max_keywords: int
    max_keyword_characters: int
    max_text_characters: int
    max_line_choices: int
    max_lines_at_once: int
    def __init__(self, max_message_bytes: _Optional[int] = ..., max_picture_pixels: _Optional[int] = ..., max_top_k: _Optional[int] = ..., max_candidates: _Optional[int] = ..., max_keywords: _Optional[int] = ..., max_keyword_characters: _Optional[int] = ..., max_text_characters: _Optional[int] = ..., max_line_choices: _Optional[int] = ..., max_lines_at_once: _Optional[int] = ...) -> None: ...

class RhymeBookInfo(_message.Message):
    __slots__ = ("book", "name", "rhyme_groups")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RHYME_GROUPS_FIELD_NUMBER: _ClassVar[int]
    book: _rules_pb2.RhymeBook
    name: str
    rhyme_groups: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, book: _Optional[_Union[_rules_pb2.RhymeBook, str]] = ..., name: _Optional[str] = ..., rhyme_groups: _Optional[_Iterable[str]] = ...) -> None: ...

class SourcesInfo(_message.Message):
    __slots__ = ("name", "fingerprint", "lines")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    name: str
    fingerprint: str
    lines: int
    def __init__(self, name: _Optional[str] = ..., fingerprint: _Optional[str] = ..., lines: _Optional[int] = ...) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("server_version", "poets", "default_poet", "encoder", "index", "forms", "limits", "rhyme_books", "sources", "default_line_choices")
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    POETS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_POET_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    FORMS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RHYME_BOOKS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_LINE_CHOICES_FIELD_NUMBER: _ClassVar[int]
    server_version: str
    poets: _containers.RepeatedCompositeFieldContainer[PoetInfo]
    default_poet: str
    encoder: EncoderInfo
    index: IndexInfo
    forms: _containers.RepeatedScalarFieldContainer[_poem_pb2.Form]
    limits: Limits
    rhyme_books: _containers.RepeatedCompositeFieldContainer[RhymeBookInfo]
    sources: SourcesInfo
    default_line_choices: int
    def __init__(self, server_version: _Optional[str] = ..., poets: _Optional[_Iterable[_Union[PoetInfo, _Mapping]]] = ..., default_poet: _Optional[str] = ..., encoder: _Optional[_Union[EncoderInfo, _Mapping]] = ..., index: _Optional[_Union[IndexInfo, _Mapping]] = ..., forms: _Optional[_Iterable[_Union[_poem_pb2.Form, str]]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., rhyme_books: _Optional[_Iterable[_Union[RhymeBookInfo, _Mapping]]] = ..., sources: _Optional[_Union[SourcesInfo, _Mapping]] = ..., default_line_choices: _Optional[int] = ...) -> None: ...
