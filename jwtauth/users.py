"""The users of tokens: without a database row, or with one."""

import hashlib
import inspect
import json
import logging
from collections.abc import Callable, Iterable
from functools import cache
from types import NoneType
from typing import Any, Final, NoReturn

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import MaxLengthValidator
from django.db import DataError, IntegrityError
from django.db.models import CharField, Model, TextField
from django.utils.translation import gettext_noop as _

from .exceptions import TokenError
from .settings import get_settings
from .tokens import base64url

Claims = dict[str, Any]
Fields = Callable[[Claims], dict[str, Any]]

logger: Final = logging.getLogger("jwtauth")


def token_user(claims: Claims, request: Any) -> "TokenUser":  # noqa: ARG001 - a resolver's signature.
    """Return a user made of the claims alone. The default ``USER_RESOLVER``."""
    return TokenUser(claims, get_settings().user_id_claim)


def require_active(user: Any) -> None:
    """Check that ``user``, which ``USER_RESOLVER`` returned, is an active user.

    Raise ``TokenError`` for ``None`` and for an inactive user, and ``ImproperlyConfigured`` for
    anything that is not a user.
    """
    flags = [getattr(user, name, None) for name in ("is_authenticated", "is_active")]
    # A class, or an object with methods of these names, is not a user.
    is_user = not isinstance(user, type) and all(flag in (True, False) for flag in flags)
    if user is not None and not is_user:
        if inspect.iscoroutine(user):
            user.close()  # Python warns about coroutines that are neither awaited nor closed.
        raise ImproperlyConfigured(
            "USER_RESOLVER, or get_user() of the authentication class, returned an object of type "
            f"{type(user).__name__}. It must return None or a user with is_authenticated and "
            "is_active. Only AsyncZuploJWTAuthentication awaits coroutines."
        )
    if not all(flags):
        raise TokenError("user_refused", _("The token's user is not accepted."))


def _identifier(claims: Claims, claim: str, *, required: bool) -> str | int | None:
    """Return the value of the claim that identifies the user. Raise ``TokenError``."""
    value: str | int | None = claims.get(claim)
    if value is None and required:
        raise TokenError("missing_claim", _("The token lacks the claim that identifies its user."))
    if type(value) not in (str, int, NoneType) or (value == "" and required):
        raise TokenError("invalid_claim", _("The user ID claim must be a string or an integer."))
    return value


def _digest(*parts: str | int) -> str:
    """Return an opaque name for these parts: 24 characters that are safe in any cache key."""
    octets = hashlib.sha256(json.dumps(parts).encode()).digest()
    return base64url.encode(octets[:18]).decode()


class TokenUser:
    """The user of a verified token, without a row in the database.

    It has the interface of ``django.contrib.auth.models.AnonymousUser``, so that code written for
    Django's users works, but it is authenticated and active. ``claims`` are the verified claims.
    """

    is_authenticated = is_active = True
    is_anonymous = is_staff = is_superuser = False

    def __init__(self, claims: Claims, id_claim: str = "sub") -> None:
        self.claims = claims
        # Read now, so that a view that changes the claims does not change the identity.
        self._issuer = claims.get("iss", "")
        self._identifier = _identifier(claims, id_claim, required=id_claim != "sub")
        self.username: str = "" if self._identifier is None else str(self._identifier)

    @property
    def pk(self) -> str:
        """An opaque identity derived from issuer and subject, the same in every process."""
        parts = () if self._identifier is None else (self._identifier,)
        return _digest(self._issuer, *parts)

    @property
    def id(self) -> str:
        """An alias of ``pk``."""
        return self.pk

    def __str__(self) -> str:
        return self.username

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.pk}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TokenUser) and self.pk == other.pk

    def __hash__(self) -> int:
        return hash(self.pk)

    def get_username(self) -> str:
        return self.username

    def _has_no_row(self, *_: object, **__: object) -> NoReturn:
        raise NotImplementedError("A TokenUser has no row in the database.")

    save = _has_no_row
    delete = _has_no_row
    set_password = _has_no_row
    check_password = _has_no_row

    @property
    def groups(self) -> Any:
        return apps.get_model("auth.Group").objects.none()

    @property
    def user_permissions(self) -> Any:
        return apps.get_model("auth.Permission").objects.none()

    def get_user_permissions(self, obj: object = None) -> set[str]:  # noqa: ARG002 - Django's signature.
        return set()

    get_group_permissions = get_user_permissions
    get_all_permissions = get_user_permissions

    async def aget_user_permissions(self, obj: object = None) -> set[str]:  # noqa: ARG002 - Django's signature.
        return set()

    aget_group_permissions = aget_user_permissions
    aget_all_permissions = aget_user_permissions

    def has_perm(self, perm: str, obj: object = None) -> bool:  # noqa: ARG002 - Django's signature.
        return False

    def has_perms(self, perm_list: Iterable[str], obj: object = None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perm_list)

    def has_module_perms(self, module: str) -> bool:  # noqa: ARG002 - Django's signature.
        return False

    async def ahas_perm(self, perm: str, obj: object = None) -> bool:
        return self.has_perm(perm, obj)

    async def ahas_perms(self, perm_list: Iterable[str], obj: object = None) -> bool:
        return self.has_perms(perm_list, obj)

    async def ahas_module_perms(self, module: str) -> bool:
        return self.has_module_perms(module)


class ModelUserResolver:
    """A ``USER_RESOLVER`` that gets or creates a row of the project's user model.

    The row is found by the model's ``USERNAME_FIELD``, which holds the value of ``USER_ID_CLAIM``.
    With several issuers, a digest of the issuer precedes it.

    ``fields`` returns, for the claims of a token, further fields of a row that is created; existing
    rows are not changed. ``local_accounts=True`` also uses rows that have a usable password. They
    belong to people who log in locally, so tokens that name them are rejected by default.
    """

    def __init__(self, fields: Fields | None = None, *, local_accounts: bool = False) -> None:
        self.fields = fields
        self.local_accounts = local_accounts

    def __call__(self, claims: Claims, request: Any) -> Model | None:  # noqa: ARG002 - a resolver's signature.
        """Return the user with this name, or ``None`` if there is no row that may be used.

        Raise ``TokenError`` if the claims hold no usable name.
        """
        model: Any = get_user_model()
        username = _username(claims, model)
        try:
            user = self._get_or_create(model, username, claims)
        except (IntegrityError, DataError) as error:
            missing = ", ".join(self.missing_fields()) or "none"
            # Only the type of the error: its message quotes the row.
            _warn_once(
                f"The database rejected a row for a user ({type(error).__name__}). "
                f"Required fields without a value: {missing}."
            )
            return None
        except (model.DoesNotExist, model.MultipleObjectsReturned, OverflowError):
            return None
        if user.get_username() != username:
            return None  # A collation found a row with a similar name.
        if user.has_usable_password() and not self.local_accounts:
            _warn_once(
                "A token was rejected because its user has a usable password and may log in "
                "locally. ModelUserResolver(local_accounts=True) accepts such users."
            )
            return None
        return user  # type: ignore[no-any-return]

    def _get_or_create(self, model: Any, username: Any, claims: Claims) -> Any:
        manager = model._default_manager  # noqa: SLF001 - documented by Django.
        try:
            return manager.get_by_natural_key(username)
        except model.DoesNotExist:
            name = {model.USERNAME_FIELD: username}
            values = self.fields(claims) if self.fields else {}
            defaults = {**values, **name, "password": make_password(None)}
            # Another request may create the row at the same time.
            user, _ = manager.get_or_create(defaults, **name)
        # The manager may hide a row that exists, for example of a deleted user.
        manager = manager.db_manager(user._state.db)  # noqa: SLF001 - as above.
        return manager.get_by_natural_key(username)

    def missing_fields(self) -> list[str]:
        """Return the fields that a new row needs and that this resolver does not provide."""
        if self.fields is not None:
            return []
        model: Any = get_user_model()
        return [
            field.name
            for field in model._meta.concrete_fields  # noqa: SLF001 - as above.
            if field.name not in {model.USERNAME_FIELD, "password"}
            and not (field.null or field.blank or field.primary_key or field.generated)
            and not (field.has_default() or field.has_db_default())
        ]


model_user: Final = ModelUserResolver()
"""The ``USER_RESOLVER`` for users with a row and no further fields."""


def _username(claims: Claims, model: Any) -> Any:
    """Return the value of ``USERNAME_FIELD`` for these claims. Raise ``TokenError``."""
    settings = get_settings()
    text = str(_identifier(claims, settings.user_id_claim, required=True))
    if len(settings.issuers) > 1:
        text = f"{_digest(claims['iss'])}:{text}"
    field = model._meta.get_field(model.USERNAME_FIELD)  # noqa: SLF001 - as above.
    is_email = field.name == model.get_email_field_name()
    try:
        name = field.to_python(text)
        if isinstance(field, CharField | TextField):
            # A longer one may not fit into the index of the column.
            MaxLengthValidator(field.max_length or 255)(name)
        else:
            field.run_validators(name)  # The range of an integer, for example.
    except (ValidationError, ValueError, ArithmeticError):
        name = ""
    if (
        # Two spellings of one name would be two subjects with one row.
        str(name) != text
        or model.normalize_username(text) != text
        or (is_email and text.strip() != text)
        or not text.isprintable()
    ):
        raise TokenError("invalid_claim", _("The user ID claim cannot be used as a user name."))
    return model._default_manager.normalize_email(name) if is_email else name  # noqa: SLF001 - as above.


@cache
def _warn_once(message: str) -> None:
    """Log a warning, unless this process has logged it before."""
    logger.warning(message)
