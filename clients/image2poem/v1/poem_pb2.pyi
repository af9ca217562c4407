from image2poem.v1 import rules_pb2 as _rules_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Form(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORM_UNSPECIFIED: _ClassVar[Form]
    FORM_WUJUE: _ClassVar[Form]
    FORM_QIJUE: _ClassVar[Form]
    FORM_WULV: _ClassVar[Form]
    FORM_QILV: _ClassVar[Form]

class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINISH_REASON_UNSPECIFIED: _ClassVar[FinishReason]
    FINISH_REASON_COMPLETE: _ClassVar[FinishReason]
    FINISH_REASON_INCOMPLETE: _ClassVar[FinishReason]
FORM_UNSPECIFIED: Form
FORM_WUJUE: Form
FORM_QIJUE: Form
FORM_WULV: Form
FORM_QILV: Form
FINISH_REASON_UNSPECIFIED: FinishReason
FINISH_REASON_COMPLETE: FinishReason
FINISH_REASON_INCOMPLETE: FinishReason

class Keyword(_message.Message):
    __slots__ = ("text", "score")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    text: str
    score: float
    def __init__(self, text: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class Sampling(_message.Message):
    __slots__ = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MIN_P_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_PENALTY_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    frequency_penalty: float
    def __init__(self, temperature: _Optional[float] = ..., top_p: _Optional[float] = ..., top_k: _Optional[int] = ..., min_p: _Optional[float] = ..., frequency_penalty: _Optional[float] = ...) -> None: ...

class Retrieved(_message.Message):
    __slots__ = ("keywords", "index_version")
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    INDEX_VERSION_FIELD_NUMBER: _ClassVar[int]
    keywords: _containers.RepeatedCompositeFieldContainer[Keyword]
    index_version: str
    def __init__(self, keywords: _Optional[_Iterable[_Union[Keyword, _Mapping]]] = ..., index_version: _Optional[str] = ...) -> None: ...

class Token(_message.Message):
    __slots__ = ("candidate", "line", "position", "id", "text", "log_probability")
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOG_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    candidate: int
    line: int
    position: int
    id: int
    text: str
    log_probability: float
    def __init__(self, candidate: _Optional[int] = ..., line: _Optional[int] = ..., position: _Optional[int] = ..., id: _Optional[int] = ..., text: _Optional[str] = ..., log_probability: _Optional[float] = ...) -> None: ...

class Line(_message.Message):
    __slots__ = ("candidate", "line", "text")
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    candidate: int
    line: int
    text: str
    def __init__(self, candidate: _Optional[int] = ..., line: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class CopiedLine(_message.Message):
    __slots__ = ("line", "dynasty", "author", "title", "elsewhere")
    LINE_FIELD_NUMBER: _ClassVar[int]
    DYNASTY_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    ELSEWHERE_FIELD_NUMBER: _ClassVar[int]
    line: int
    dynasty: str
    author: str
    title: str
    elsewhere: bool
    def __init__(self, line: _Optional[int] = ..., dynasty: _Optional[str] = ..., author: _Optional[str] = ..., title: _Optional[str] = ..., elsewhere: bool = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("lines", "finish_reason", "mean_log_probability", "similarity", "score", "conformity", "copied_lines")
    LINES_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    MEAN_LOG_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    CONFORMITY_FIELD_NUMBER: _ClassVar[int]
    COPIED_LINES_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedScalarFieldContainer[str]
    finish_reason: FinishReason
    mean_log_probability: float
    similarity: float
    score: float
    conformity: _rules_pb2.Conformity
    copied_lines: _containers.RepeatedCompositeFieldContainer[CopiedLine]
    def __init__(self, lines: _Optional[_Iterable[str]] = ..., finish_reason: _Optional[_Union[FinishReason, str]] = ..., mean_log_probability: _Optional[float] = ..., similarity: _Optional[float] = ..., score: _Optional[float] = ..., conformity: _Optional[_Union[_rules_pb2.Conformity, _Mapping]] = ..., copied_lines: _Optional[_Iterable[_Union[CopiedLine, _Mapping]]] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("queue_ms", "encode_ms", "search_ms", "first_token_ms", "write_ms", "rank_ms", "total_ms")
    QUEUE_MS_FIELD_NUMBER: _ClassVar[int]
    ENCODE_MS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_MS_FIELD_NUMBER: _ClassVar[int]
    WRITE_MS_FIELD_NUMBER: _ClassVar[int]
    RANK_MS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MS_FIELD_NUMBER: _ClassVar[int]
    queue_ms: float
    encode_ms: float
    search_ms: float
    first_token_ms: float
    write_ms: float
    rank_ms: float
    total_ms: float
    def __init__(self, queue_ms: _Optional[float] = ..., encode_ms: _Optional[float] = ..., search_ms: _Optional[float] = ..., first_token_ms: _Optional[float] = ..., write_ms: _Optional[float] = ..., rank_ms: _Optional[float] = ..., total_ms: _Optional[float] = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("poem", "finish_reason", "best_candidate", "candidates", "seed", "keywords", "index_version", "poet", "form", "timings", "conformity", "copied_lines")
    POEM_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    BEST_CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    INDEX_VERSION_FIELD_NUMBER: _ClassVar[int]
    POET_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    CONFORMITY_FIELD_NUMBER: _ClassVar[int]
    COPIED_LINES_FIELD_NUMBER: _ClassVar[int]
    poem: _containers.RepeatedScalarFieldContainer[str]
    finish_reason: FinishReason
    best_candidate: int
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    seed: int
    keywords: _containers.RepeatedCompositeFieldContainer[Keyword]
    index_version: str
    poet: str
    form: Form
    timings: Timings
    conformity: _rules_pb2.Conformity
    copied_lines: _containers.RepeatedCompositeFieldContainer[CopiedLine]
    def __init__(self, poem: _Optional[_Iterable[str]] = ..., finish_reason: _Optional[_Union[FinishReason, str]] = ..., best_candidate: _Optional[int] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., seed: _Optional[int] = ..., keywords: _Optional[_Iterable[_Union[Keyword, _Mapping]]] = ..., index_version: _Optional[str] = ..., poet: _Optional[str] = ..., form: _Optional[_Union[Form, str]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., conformity: _Optional[_Union[_rules_pb2.Conformity, _Mapping]] = ..., copied_lines: _Optional[_Iterable[_Union[CopiedLine, _Mapping]]] = ...) -> None: ...
