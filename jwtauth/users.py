"""Who a token is for: users without a database row, and users with one."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NoReturn

from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, router, transaction

from .conf import get_settings
from .exceptions import TokenError
from .tokens import base64url

if TYPE_CHECKING:
    from django.db.models import Model

Claims = dict[str, Any]

logger: Final = logging.getLogger("jwtauth")


def token_user(claims: Claims, request: Any) -> TokenUser:  # noqa: ARG001 - a resolver's signature.
    """The default ``USER_RESOLVER``: a user made of the claims alone."""
    return TokenUser(claims, get_settings().user_id_claim)


def _identifier(claims: Claims, claim: str) -> str | int | None:
    """The value that identifies the token's user. Raises ``TokenError`` (``invalid_claim``)."""
    value: str | int | None = claims.get(claim)
    if value is not None and type(value) not in (str, int):
        raise TokenError("invalid_claim", "The claim that identifies the user is no identifier.")
    return value


def _digest(*parts: str | int) -> str:
    """An opaque name for these parts, safe in any cache key: 24 characters of base64url."""
    octets = hashlib.sha256(json.dumps(parts).encode()).digest()
    return base64url.encode(octets[:18]).decode()


class TokenUser:
    """The user of a verified token; it has no row in a database.

    It has the attributes and methods of ``django.contrib.auth.models.AnonymousUser``, so that code
    written for Django's users works, but it is authenticated and active. ``claims`` are the
    verified claims.
    """

    is_active = True
    is_staff = False
    is_superuser = False
    is_authenticated = True
    is_anonymous = False

    def __init__(self, claims: Claims, id_claim: str = "sub") -> None:
        self.claims = claims
        # Taken now: what a view does to its claims changes nobody's identity.
        self._issuer = claims.get("iss", "")
        self._identifier = _identifier(claims, id_claim)
        self.username: str = "" if self._identifier is None else str(self._identifier)

    @cached_property
    def pk(self) -> str:
        """An opaque, stable identity made of issuer and subject, the same in every process."""
        parts = () if self._identifier is None else (self._identifier,)
        return _digest(self._issuer, *parts)

    @property
    def id(self) -> str:
        """The same as ``pk``."""
        return self.pk

    def __str__(self) -> str:
        return self.username

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.pk}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TokenUser) and self.pk == other.pk

    def __hash__(self) -> int:
        return hash(self.pk)

    def __int__(self) -> NoReturn:
        raise TypeError("A TokenUser is no number: its pk is text.")

    def get_username(self) -> str:
        """The value of ``USER_ID_CLAIM``."""
        return self.username

    def _has_no_row(self, *_: object, **__: object) -> NoReturn:
        raise NotImplementedError("A TokenUser has no row in the database.")

    save = _has_no_row
    delete = _has_no_row
    set_password = _has_no_row
    check_password = _has_no_row

    @property
    def groups(self) -> Any:
        """No groups."""
        from django.contrib.auth.models import Group  # noqa: PLC0415 - the app may be missing.

        return Group.objects.none()

    @property
    def user_permissions(self) -> Any:
        """No permissions."""
        from django.contrib.auth.models import Permission  # noqa: PLC0415 - the app may be missing.

        return Permission.objects.none()

    def get_user_permissions(self, obj: object = None) -> set[str]:  # noqa: ARG002 - Django's signature.
        """No permissions: what a token allows is said by its scope."""
        return set()

    get_group_permissions = get_user_permissions
    get_all_permissions = get_user_permissions

    async def aget_user_permissions(self, obj: object = None) -> set[str]:  # noqa: ARG002 - Django's signature.
        """No permissions."""
        return set()

    aget_group_permissions = aget_user_permissions
    aget_all_permissions = aget_user_permissions

    def has_perm(self, perm: str, obj: object = None) -> bool:  # noqa: ARG002 - Django's signature.
        """Never."""
        return False

    def has_perms(self, perm_list: Iterable[str], obj: object = None) -> bool:
        """Only where the list is empty."""
        if isinstance(perm_list, str) or not isinstance(perm_list, Iterable):
            raise ValueError("perm_list must be an iterable of permissions.")  # noqa: TRY004 - as Django's users do.
        return all(self.has_perm(perm, obj) for perm in perm_list)

    def has_module_perms(self, module: str) -> bool:  # noqa: ARG002 - Django's signature.
        """Never."""
        return False

    async def ahas_perm(self, perm: str, obj: object = None) -> bool:
        """Never."""
        return self.has_perm(perm, obj)

    async def ahas_perms(self, perm_list: Iterable[str], obj: object = None) -> bool:
        """Only where the list is empty."""
        return self.has_perms(perm_list, obj)

    async def ahas_module_perms(self, module: str) -> bool:
        """Never."""
        return self.has_module_perms(module)


class ModelUserResolver:
    """A ``USER_RESOLVER`` that gets or creates a row of the project's user model.

    The row is found by the model's ``USERNAME_FIELD``, which holds the value of ``USER_ID_CLAIM``,
    and before it a mark of the issuer where several are configured. ``fields`` maps the claims to
    further fields of a row that is created; an existing row is left as it is. A user whose row
    cannot be found or created for certain is refused.
    """

    def __init__(self, fields: Callable[[Claims], dict[str, Any]] = lambda _claims: {}) -> None:
        self._fields = fields

    def __call__(self, claims: Claims, request: Any) -> Model | None:  # noqa: ARG002 - a resolver's signature.
        """The user of these claims. Raises ``TokenError`` where they name none."""
        from django.contrib.auth import get_user_model  # noqa: PLC0415 - the app may be missing.

        model: Any = get_user_model()
        username = self._username(claims, model)
        try:
            try:
                user = model._default_manager.get_by_natural_key(username)  # noqa: SLF001 - documented by Django.
            except model.DoesNotExist:
                user = self._create(model, username, claims)
        except (model.DoesNotExist, model.MultipleObjectsReturned):
            return None
        # A collation may find a row by a name that is only similar.
        return user if user.get_username() == username else None

    def _username(self, claims: Claims, model: Any) -> Any:
        settings = get_settings()
        identifier = _identifier(claims, settings.user_id_claim)
        if identifier is None:
            raise TokenError("missing_claim", "The token lacks the claim that names its user.")
        username = str(identifier)
        if len(settings.issuers) > 1:
            username = f"{_digest(claims['iss'])}:{username}"
        unusable = TokenError("invalid_claim", "The token names its user in an unusable way.")
        field = model._meta.get_field(model.USERNAME_FIELD)  # noqa: SLF001 - likewise.
        if identifier == "" or not username.isprintable():
            raise unusable
        try:
            # The field may be of another type than text, such as a UUID.
            name = field.to_python(username)
        except ValidationError:
            raise unusable from None
        if isinstance(name, str) and len(name) > (field.max_length or len(name)):
            raise unusable
        return name

    def _create(self, model: Any, username: Any, claims: Claims) -> Any:
        user = model(**{**self._fields(claims), model.USERNAME_FIELD: username})
        user.set_unusable_password()
        database = router.db_for_write(model, instance=user)
        try:
            with transaction.atomic(using=database):
                user.save(using=database, force_insert=True)
        except (IntegrityError, DataError) as error:
            try:
                # Another request with the same new user was faster.
                manager = model._default_manager.db_manager(database)  # noqa: SLF001 - likewise.
                return manager.get_by_natural_key(username)
            except model.DoesNotExist:
                # Not what the database said: it quotes what is in the row.
                logger.warning("A new user's row was not accepted (%s).", type(error).__name__)
                raise
        return user


model_user: Final = ModelUserResolver()
"""The ``USER_RESOLVER`` for users with a row and no further fields."""
