"""People of a Supabase project: who is named by the access tokens that it issues."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from studio.errors import StudioError
from studio.people import Origin, Person
from studio.services.outside_people import OutsideIdentity, OutsidePeople
from studio.services.outside_tokens import TokenReader, TokenRefused

log = logging.getLogger(__name__)

PROVIDER = "supabase"
AUDIENCE = "authenticated"
"""The audience and the role of the tokens of people who have signed in; the project's own keys have others."""
BEARER_SCOPES = frozenset({"read", "generate"})
"""What a token is good for by itself. Administering needs a session, which shows among the account's and can be ended.
"""
Json = dict[str, Any]


class SupabasePeople:
    """Called with a token as `ExternalPerson`: it acts by itself. A browser brings one to get a session."""

    def __init__(self, project_url: str, people: OutsidePeople, *, emails_confirmed: bool = False) -> None:
        """`emails_confirmed`: the project lets nobody sign in by an address that they have not confirmed."""
        issuer = f"{project_url}/auth/v1"
        self._reader = TokenReader(lambda: f"{issuer}/.well-known/jwks.json", issuer=issuer, audience=AUDIENCE)
        self._people = people
        self._emails_confirmed = emails_confirmed

    def __call__(self, token: str, origin: Origin) -> Person | None:
        """The person who acts by a token sent with a request; None for one that does not hold. Raises Unavailable, or
        what `OutsidePeople.person_of` does."""
        try:
            person = self._people.person_of(self.identity_of(token), origin)
        except (TokenRefused, StudioError) as error:
            log.warning("Refused a token of Supabase from %s: %s", origin.address, error)
            if isinstance(error, TokenRefused):
                return None
            raise
        return replace(person, scopes=BEARER_SCOPES)

    def identity_of(self, token: str) -> OutsideIdentity:
        """Whom a token names. Raises TokenRefused or Unavailable."""
        claims = self._reader.read(token)
        if claims.get("role") != AUDIENCE or claims.get("is_anonymous", False) is not False:
            raise TokenRefused("it is of nobody who has signed in")
        # `user_metadata`, `email_verified` in it included, is what the person wrote there: good for a name and no more.
        confirmed = self._emails_confirmed or claims.get("email_verified") is True
        written = claims.get("user_metadata")
        chosen = written if isinstance(written, dict) else {}
        return OutsideIdentity.of(
            PROVIDER,
            claims["sub"],
            name=chosen.get("full_name") or chosen.get("name"),
            email=claims.get("email") if confirmed else None,
        )
