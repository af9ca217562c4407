"""The craft (格律): forms and rhythm now; tones, rhyme books and the checker have their place here."""

from models.prosody.characters import is_han
from models.prosody.constraint import CharactersOnly, Constraint
from models.prosody.forms import FORMS, Form, UnknownForm, form_named

__all__ = ["FORMS", "CharactersOnly", "Constraint", "Form", "UnknownForm", "form_named", "is_han"]
