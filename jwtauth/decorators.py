"""Decorators for Django's own views, synchronous or asynchronous."""

from collections.abc import Callable
from functools import partial, wraps
from inspect import isawaitable, unwrap
from typing import Any, TypeVar, cast, overload

# On Python 3.11, inspect's function does not recognize an async class-based view.
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from rest_framework.authentication import BaseAuthentication

from .admission import Admission
from .authentication import ZuploJWTAuthentication
from .responses import vary_on_header

_View = TypeVar("_View", bound="Callable[..., Any]")


@overload
def token_required(view: _View) -> _View: ...
@overload
def token_required(
    *, authentication_class: type[BaseAuthentication]
) -> Callable[[_View], _View]: ...
def token_required(
    view: Any = None, *, authentication_class: type[BaseAuthentication] = ZuploJWTAuthentication
) -> Any:
    """Serve only requests with a valid token.

    The view finds ``request.user`` and ``request.auth`` as views of Django REST Framework do. All
    other requests get the same responses as there, in JSON. ``authentication_class`` may be a
    subclass of ``ZuploJWTAuthentication``::

        @token_required(authentication_class=PartnerAuthentication)
        def orders(request): ...

    For class-based views, use ``method_decorator(token_required, name="dispatch")``.
    """
    if view is None:
        return partial(token_required, authentication_class=authentication_class)
    is_async = _is_async(view)
    admission = Admission(authentication_class, is_async=is_async)

    @wraps(view)
    def guarded(request: Any, *args: Any, **kwargs: Any) -> Any:
        error = admission.authenticate(request)
        if error is not None:
            return vary_on_header(admission.reject(error, request))
        return vary_on_header(view(request, *args, **kwargs))

    @wraps(view)
    async def aguarded(request: Any, *args: Any, **kwargs: Any) -> Any:
        error = await admission.aauthenticate(request)
        if error is not None:
            return vary_on_header(admission.reject(error, request))
        response = view(request, *args, **kwargs)
        return vary_on_header(await response if isawaitable(response) else response)

    guard: Any = aguarded if is_async else guarded
    # Django's LoginRequiredMiddleware would redirect to a login page before the token is read.
    guard.login_required = False
    guard.token_required = True
    return guard


def token_not_required(view: _View) -> _View:
    """Mark a view that ``TokenRequiredMiddleware`` serves without a token.

    If the request carries a valid token, the view finds its user all the same. For class-based
    views, use ``method_decorator(token_not_required, name="dispatch")``.
    """

    # A new function: the view itself may be in use at another, protected path.
    @wraps(view)
    def open_view(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    if _is_async(view):
        markcoroutinefunction(open_view)
    marked: Any = open_view
    marked.token_not_required = True
    return cast("_View", marked)


def _is_async(view: Any) -> bool:
    """Return whether callers of the view await its result."""
    # The dispatch() of an async class-based view is a plain function that returns a coroutine.
    # method_decorator() passes on a partial of it.
    innermost: Any = unwrap(view, stop=lambda each: isinstance(each, partial))
    instance = getattr(getattr(innermost, "func", None), "__self__", None)
    return iscoroutinefunction(view) or getattr(instance, "view_is_async", False)  # pyright: ignore[reportDeprecated] - asyncio's is.
