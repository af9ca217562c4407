"""The client of image2poem: a picture in, classical Chinese verse streaming out.

from image2poem import Client, Token

with Client("localhost:50051") as client:
    for event in client.compose(picture=data):
        if isinstance(event, Token):
            print(event.text, end="", flush=True)
"""

from image2poem.client import DEFAULT_TARGET, DEFAULT_TIMEOUT, AsyncClient, Client
from image2poem.errors import (
    Cancelled,
    DeadlineExceeded,
    Draining,
    Image2PoemError,
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
    ServerInfo,
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
    "Client",
    "ComposeWish",
    "DeadlineExceeded",
    "Draining",
    "Encoder",
    "Event",
    "Finished",
    "Image2PoemError",
    "Index",
    "InvalidImage",
    "InvalidOption",
    "InvalidRequest",
    "Keyword",
    "Limits",
    "Line",
    "Lookup",
    "LookupWish",
    "NotOffered",
    "NotReady",
    "Overloaded",
    "Poet",
    "PromptTooLong",
    "RequestTooLarge",
    "Retrieved",
    "ServerError",
    "ServerInfo",
    "Timings",
    "Token",
    "Unavailable",
    "UnknownModel",
]
