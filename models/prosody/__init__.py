"""The craft (格律): forms, tones, rhyme books, the checker, and the constraint that decoding keeps."""

from models.prosody.books import (
    RHYME_BOOKS,
    Reading,
    RhymeBook,
    UnknownRhymeBook,
    UnknownRhymeGroup,
    rhyme_book,
)
from models.prosody.characters import is_han
from models.prosody.checker import check
from models.prosody.constraint import Constraint, LengthsOnly, Writing
from models.prosody.endings import Endings
from models.prosody.forms import FORMS, Form, UnknownForm, form_named
from models.prosody.lexicon import Lexicon
from models.prosody.parallelism import parallelism
from models.prosody.patterns import PATTERNS, Pattern, Tone, UnknownPattern, pattern_named
from models.prosody.regulated import Regulated
from models.prosody.report import Report
from models.prosody.rules import ImpossibleRules, Rules, fixed_places

__all__ = [
    "FORMS",
    "PATTERNS",
    "RHYME_BOOKS",
    "Constraint",
    "Endings",
    "Form",
    "ImpossibleRules",
    "LengthsOnly",
    "Lexicon",
    "Pattern",
    "Reading",
    "Regulated",
    "Report",
    "RhymeBook",
    "Rules",
    "Tone",
    "UnknownForm",
    "UnknownPattern",
    "UnknownRhymeBook",
    "UnknownRhymeGroup",
    "Writing",
    "check",
    "fixed_places",
    "form_named",
    "is_han",
    "parallelism",
    "pattern_named",
    "rhyme_book",
]
