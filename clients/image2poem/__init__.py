"""The client of image2poem: a picture in, classical Chinese verse streaming out.

from image2poem import Client, Token

with Client("localhost:50051") as client:
    for event in client.compose(picture=data):
        if isinstance(event, Token):
            print(event.text, end="", flush=True)
"""

from image2poem.checks import CharacterCheck, Fault, LineCheck, PoemCheck, Reading, Rescue
from image2poem.client import DEFAULT_TARGET, DEFAULT_TIMEOUT, AsyncClient, Client
from image2poem.errors import (
    Cancelled,
    DeadlineExceeded,
    Draining,
    Image2PoemError,
    ImpossibleRules,
    InvalidImage,
    InvalidOption,
    InvalidRequest,
    NotOffered,
    NotReady,
    Overloaded,
    PromptTooLong,
    RequestTooLarge,
    ServerError,
    Unavailable,
    UnknownModel,
)
from image2poem.events import (
    Candidate,
    Conformity,
    CopiedLine,
    Encoder,
    Event,
    Finished,
    Index,
    Keyword,
    Limits,
    Line,
    Lookup,
    Poet,
    Retrieved,
    RhymeBook,
    ServerInfo,
    Sources,
    Timings,
    Token,
)
from image2poem.wishes import ComposeWish, LookupWish

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_TARGET",
    "DEFAULT_TIMEOUT",
    "AsyncClient",
    "Cancelled",
    "Candidate",
    "CharacterCheck",
    "Client",
    "ComposeWish",
    "Conformity",
    "CopiedLine",
    "DeadlineExceeded",
    "Draining",
    "Encoder",
    "Event",
    "Fault",
    "Finished",
    "Image2PoemError",
    "ImpossibleRules",
    "Index",
    "InvalidImage",
    "InvalidOption",
    "InvalidRequest",
    "Keyword",
    "Limits",
    "Line",
    "LineCheck",
    "Lookup",
    "LookupWish",
    "NotOffered",
    "NotReady",
    "Overloaded",
    "PoemCheck",
    "Poet",
    "PromptTooLong",
    "Reading",
    "RequestTooLarge",
    "Rescue",
    "Retrieved",
    "RhymeBook",
    "ServerError",
    "ServerInfo",
    "Sources",
    "Timings",
    "Token",
    "Unavailable",
    "UnknownModel",
]
