"""The studio's errors. Each carries its public code, the HTTP status of its kind and a sentence for a person.

StudioError
├── InvalidInput        422 invalid_input     the order or a field of it cannot be done
│   ├── TooLarge        413 invalid_input     the upload has too many bytes or pixels
│   ├── UnsupportedMedia 415 invalid_input    the upload is no picture that we read
│   ├── Refused         422 invalid_input     a webhook's address that the studio does not call
│   └── Unresolved      422 invalid_input     a webhook's host that leads nowhere at the moment
├── PolicyRefused       422 policy_refused    the content policy refuses the prompt
├── SignInNeeded        401 unauthorized
│   └── SignInRefused   401 unauthorized      wrong address or password, or a shut account: the same answer
├── Forbidden           403 forbidden
├── NotFound            404 not_found         unknown, or somebody else's: the same answer
├── Conflict            409 conflict          the thing is in a state that does not allow this
│   └── AccountExists   409 conflict          somebody from outside has an address of an account with a password
├── RateLimited         429 rate_limited
├── QuotaExceeded       429 quota_exceeded
├── ModelUnavailable    503 model_missing
├── StorageFull         503 storage_full
├── StorageFailed       503 storage_error     the store did not answer; trying again may help
│   └── UnfitFile       503 storage_error     what should be stored is not what was announced; it stays so
└── Unavailable         503 unavailable       the studio is stopping
"""

from __future__ import annotations


class StudioError(Exception):
    """Base. `message` is a sentence for a person; `field` names the offending input where there is one."""

    code = "internal"
    status = 500

    def __init__(self, message: str, *, field: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s

    def as_json(self) -> dict[str, str]:
        """The public form: code, message and, where known, field."""
        body = {"code": self.code, "message": self.message}
        return body if self.field is None else {**body, "field": self.field}


class InvalidInput(StudioError):
    code, status = "invalid_input", 422


class TooLarge(InvalidInput):
    status = 413


class UnsupportedMedia(InvalidInput):
    status = 415


class PolicyRefused(StudioError):
    code, status = "policy_refused", 422


class SignInNeeded(StudioError):
    code, status = "unauthorized", 401


class SignInRefused(SignInNeeded):
    """The address or the password is wrong, or the account is shut: always the same answer."""


class Forbidden(StudioError):
    code, status = "forbidden", 403


class NotFound(StudioError):
    code, status = "not_found", 404


class Conflict(StudioError):
    code, status = "conflict", 409


class RateLimited(StudioError):
    code, status = "rate_limited", 429


class QuotaExceeded(StudioError):
    code, status = "quota_exceeded", 429


class ModelUnavailable(StudioError):
    code, status = "model_missing", 503


class StorageFull(StudioError):
    code, status = "storage_full", 503


class StorageFailed(StudioError):
    code, status = "storage_error", 503


class UnfitFile(StorageFailed):
    """A file that no storage of ours takes: of another kind or size than announced, or broken."""


class Unavailable(StudioError):
    code, status = "unavailable", 503
