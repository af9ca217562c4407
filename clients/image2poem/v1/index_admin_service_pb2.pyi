import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IndexVersion(_message.Message):
    __slots__ = ("name", "created", "size", "kind", "recall", "encoder", "encoder_fingerprint", "parent", "published", "serving", "fault")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    name: str
    created: _timestamp_pb2.Timestamp
    size: int
    kind: str
    recall: float
    encoder: str
    encoder_fingerprint: str
    parent: str
    published: bool
    serving: bool
    fault: str
    def __init__(self, name: _Optional[str] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., size: _Optional[int] = ..., kind: _Optional[str] = ..., recall: _Optional[float] = ..., encoder: _Optional[str] = ..., encoder_fingerprint: _Optional[str] = ..., parent: _Optional[str] = ..., published: bool = ..., serving: bool = ..., fault: _Optional[str] = ...) -> None: ...

class ListIndexVersionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListIndexVersionsResponse(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[IndexVersion]
    def __init__(self, versions: _Optional[_Iterable[_Union[IndexVersion, _Mapping]]] = ...) -> None: ...

class ActivateIndexVersionRequest(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: str
    def __init__(self, version: _Optional[str] = ...) -> None: ...

class ActivateIndexVersionResponse(_message.Message):
    __slots__ = ("version", "replaced")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    version: IndexVersion
    replaced: str
    def __init__(self, version: _Optional[_Union[IndexVersion, _Mapping]] = ..., replaced: _Optional[str] = ...) -> None: ...

class RollBackIndexRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RollBackIndexResponse(_message.Message):
    __slots__ = ("version", "replaced")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    version: IndexVersion
    replaced: str
    def __init__(self, version: _Optional[_Union[IndexVersion, _Mapping]] = ..., replaced: _Optional[str] = ...) -> None: ...

class RebuildOptions(_message.Message):
    __slots__ = ("source", "all_words", "stop_words", "simplified", "subjects", "templates", "correction", "kind")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ALL_WORDS_FIELD_NUMBER: _ClassVar[int]
    STOP_WORDS_FIELD_NUMBER: _ClassVar[int]
    SIMPLIFIED_FIELD_NUMBER: _ClassVar[int]
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    CORRECTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    source: str
    all_words: bool
    stop_words: _containers.RepeatedScalarFieldContainer[str]
    simplified: bool
    subjects: _containers.RepeatedScalarFieldContainer[str]
    templates: _containers.RepeatedScalarFieldContainer[str]
    correction: float
    kind: str
    def __init__(self, source: _Optional[str] = ..., all_words: bool = ..., stop_words: _Optional[_Iterable[str]] = ..., simplified: bool = ..., subjects: _Optional[_Iterable[str]] = ..., templates: _Optional[_Iterable[str]] = ..., correction: _Optional[float] = ..., kind: _Optional[str] = ...) -> None: ...

class RebuildIndexRequest(_message.Message):
    __slots__ = ("options", "list")
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    options: RebuildOptions
    list: bytes
    def __init__(self, options: _Optional[_Union[RebuildOptions, _Mapping]] = ..., list: _Optional[bytes] = ...) -> None: ...

class ListRead(_message.Message):
    __slots__ = ("words", "dropped")
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    WORDS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    words: int
    dropped: _containers.ScalarMap[str, int]
    def __init__(self, words: _Optional[int] = ..., dropped: _Optional[_Mapping[str, int]] = ...) -> None: ...

class RebuildProgress(_message.Message):
    __slots__ = ("done", "total", "words_per_second", "seconds_left")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    WORDS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    done: int
    total: int
    words_per_second: float
    seconds_left: float
    def __init__(self, done: _Optional[int] = ..., total: _Optional[int] = ..., words_per_second: _Optional[float] = ..., seconds_left: _Optional[float] = ...) -> None: ...

class IndexPublished(_message.Message):
    __slots__ = ("version", "replaced", "added", "removed")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    version: IndexVersion
    replaced: str
    added: int
    removed: int
    def __init__(self, version: _Optional[_Union[IndexVersion, _Mapping]] = ..., replaced: _Optional[str] = ..., added: _Optional[int] = ..., removed: _Optional[int] = ...) -> None: ...

class RebuildIndexResponse(_message.Message):
    __slots__ = ("list_read", "progress", "published")
    LIST_READ_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    list_read: ListRead
    progress: RebuildProgress
    published: IndexPublished
    def __init__(self, list_read: _Optional[_Union[ListRead, _Mapping]] = ..., progress: _Optional[_Union[RebuildProgress, _Mapping]] = ..., published: _Optional[_Union[IndexPublished, _Mapping]] = ...) -> None: ...
