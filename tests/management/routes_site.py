"""A URLconf with every kind of view that ``jwtauth_routes`` knows, and of some that it does not.

Every view that is reached answers 200, or redirects to ``/elsewhere``.
"""
# ruff: noqa: ARG002 - the arguments of handlers are those of Django and DRF.

from __future__ import annotations

from functools import partial, update_wrapper, wraps
from typing import TYPE_CHECKING, Any, ClassVar

from adrf.views import APIView as AsyncAPIView
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import (
    login_not_required,
    login_required,
    permission_required,
    user_passes_test,
)
from django.contrib.auth.mixins import (
    LoginRequiredMixin,
    PermissionRequiredMixin,
    UserPassesTestMixin,
)
from django.contrib.auth.models import Group
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpResponse
from django.urls import include, path, re_path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_page, never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET
from django.views.generic import RedirectView, TemplateView
from django.views.generic.edit import FormMixin
from ninja import NinjaAPI
from rest_framework import permissions as drf
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.decorators import action, api_view, authentication_classes, permission_classes
from rest_framework.response import Response
from rest_framework.routers import APIRootView, DefaultRouter, SimpleRouter
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from jwtauth.authentication import AsyncZuploJWTAuthentication, ZuploJWTAuthentication
from jwtauth.decorators import token_not_required, token_required
from jwtauth.permissions import TokenHasAnyScope, TokenHasClaims, TokenHasScope
from jwtauth.users import TokenUser

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest


def plain(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    return HttpResponse()


async def plain_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


# Decorators of a project.


def logged(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return inner


def without_wraps(view: Callable[..., Any]) -> Callable[..., Any]:
    def inner(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return inner


class Limited:
    """A decorator that is a class."""

    def __init__(self, view: Callable[..., Any]) -> None:
        update_wrapper(self, view)
        self.view = view

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.view(*args, **kwargs)


active_required = user_passes_test(lambda user: user.is_active)


class Page:
    def __call__(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    def show(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


class Answer(HttpResponse):
    """A class that Django calls as a view."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__()


FUNCTIONS = [
    path("plain", plain, name="plain"),
    path("async", plain_async),
    path("logged", logged(plain)),
    path("exempt-from-csrf", csrf_exempt(plain)),
    path("partial", partial(plain, limit=3)),
    path("bound", Page().show),
    path("instance", Page()),
    path("class", Answer),
    path("limited", Limited(plain)),
    path("limited/login", Limited(login_required(plain))),
    path("without-wraps", without_wraps(plain)),
    path("without-wraps/login", without_wraps(login_required(plain))),
    path("login", login_required(plain)),
    path("login/async", login_required(plain_async)),
    path("login/outside", login_required(without_wraps(plain))),
    path("login/arguments", login_required(login_url="/login/")(plain)),
    path("login/partial", partial(login_required(plain), limit=3)),
    path("login/below", logged(csrf_exempt(never_cache(login_required(plain))))),
    path("login/above", login_required(cache_page(60)(require_GET(plain)))),
    path("login/protect", csrf_protect(login_required(plain))),
    path("staff", staff_member_required(plain)),
    path("permission", permission_required("auth.add_group")(plain)),
    path("permission/raise", permission_required("auth.add_group", raise_exception=True)(plain)),
    path("test", active_required(plain)),
    path("test/login", active_required(login_required(plain))),
    path("token", token_required(plain)),
    path("token/async", token_required(plain_async)),
    path("token/csrf", csrf_exempt(token_required(plain))),
    path("token/login", token_required(login_required(plain))),
    path("marked", token_not_required(logged(plain))),
    path("marked/login", token_not_required(login_required(plain))),
    path("not-required", login_not_required(logged(plain))),
]


class Show(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


class AsyncShow(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


class LoginMixin(LoginRequiredMixin, Show):
    pass


class LoginMixinTooLate(Show, LoginRequiredMixin):
    """The dispatch() of ``View`` answers before the mixin is asked."""


class PermissionMixin(PermissionRequiredMixin, Show):
    permission_required = "auth.add_group"


class OwnPermissionMixin(PermissionMixin):
    def has_permission(self) -> bool:
        return True


class TestMixin(UserPassesTestMixin, Show):
    def test_func(self) -> bool:
        return True


@method_decorator(login_required, name="dispatch")
class LoginDispatch(Show):
    pass


@method_decorator([never_cache, staff_member_required], name="dispatch")
class StaffDispatch(Show):
    pass


@method_decorator(token_required, name="dispatch")
class TokenDispatch(Show):
    pass


@method_decorator(token_required, name="dispatch")
class TokenDispatchAsync(AsyncShow):
    pass


@method_decorator(without_wraps, name="dispatch")
class WithoutWraps(Show):
    pass


@method_decorator(token_not_required, name="dispatch")
class Marked(Show):
    pass


class LoginForGet(Show):
    get = method_decorator(login_required)(Show.get)


class LoginOrToken(View):
    http_method_names = ("get", "post")
    get = method_decorator(login_required)(Show.get)
    post = method_decorator(token_required)(Show.get)


class OwnDispatch(Show):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)


class OwnDispatchWithLogin(OwnDispatch, LoginMixin):
    pass


class InsteadOfLogin(LoginMixin):
    """Calls no ``dispatch()`` of the next class, so that nobody asks for a login."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self.get(request)


class Form(FormMixin, Show):  # type: ignore[type-arg]  # Not generic at run time.
    """Has an attribute ``initial``, which is not the method of Django REST Framework."""


class AroundLogin(LoginMixin):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return View.dispatch(self, request, *args, **kwargs)


class LoginIsOptional(LoginMixin):
    def handle_no_permission(self) -> Any:
        return HttpResponse()


CLASSES = [
    path("show", Show.as_view()),
    path("form", Form.as_view()),
    path("async", AsyncShow.as_view()),
    path("template", TemplateView.as_view(template_name="empty.html")),
    path("redirect", RedirectView.as_view(url="/elsewhere")),
    path("login", login_required(Show.as_view())),
    path("login/mixin", LoginMixin.as_view()),
    path("login/mixin/too-late", LoginMixinTooLate.as_view()),
    path("login/dispatch", LoginDispatch.as_view()),
    path("login/get", LoginForGet.as_view()),
    path("login/get/only", LoginForGet.as_view(http_method_names=["get", "head"])),
    path("login/password", PasswordChangeView.as_view()),
    path("login-or-token", LoginOrToken.as_view()),
    path("permission/mixin", PermissionMixin.as_view()),
    path("permission/mixin/own", OwnPermissionMixin.as_view()),
    path("test/mixin", TestMixin.as_view()),
    path("staff/dispatch", StaffDispatch.as_view()),
    path("token", token_required(Show.as_view())),
    path("token/dispatch", TokenDispatch.as_view()),
    path("token/dispatch/async", TokenDispatchAsync.as_view()),
    path("without-wraps", WithoutWraps.as_view()),
    path("own-dispatch", OwnDispatch.as_view()),
    path("own-dispatch/login", OwnDispatchWithLogin.as_view()),
    path("own-dispatch/instead", InsteadOfLogin.as_view()),
    path("own-dispatch/instead/login", login_required(InsteadOfLogin.as_view())),
    path("own-dispatch/around", AroundLogin.as_view()),
    path("login/mixin/optional", LoginIsOptional.as_view()),
    path("marked", Marked.as_view()),
]


class Endpoint(APIView):
    permission_classes: Any = (drf.AllowAny,)

    def get(self, request: Any) -> Response:
        return Response()

    def post(self, request: Any) -> Response:
        return Response()


class OurSubclass(ZuploJWTAuthentication):
    pass


class Lenient(ZuploJWTAuthentication):
    def authenticate(self, request: Any) -> Any:
        return super().authenticate(request) or (TokenUser({}), {})


class OwnVerify(ZuploJWTAuthentication):
    def verify(self, token: str, request: Any) -> dict[str, Any]:
        return {}


class Signed(drf.IsAuthenticated):
    """Says nothing new."""


class OwnPermission(drf.BasePermission):
    def has_permission(self, request: Any, view: Any) -> bool:
        return True


class OwnObjectPermission(drf.BasePermission):
    """Looks at objects, so that only views of objects ask it."""

    has_object_permission = drf.IsAuthenticated.has_object_permission


class OwnObject(OwnObjectPermission):
    """An object that Django REST Framework calls as if it were a class."""

    def __call__(self) -> OwnObject:
        return self


class OwnIsAuthenticated(drf.IsAuthenticated):
    def has_permission(self, request: Any, view: Any) -> bool:
        return True


class OwnGetPermissions(Endpoint):
    permission_classes = (drf.IsAuthenticated,)

    def get_permissions(self) -> list[Any]:
        return []


class OwnClasses(Endpoint):
    permission_classes = (drf.IsAuthenticated,)

    def get_authenticators(self) -> list[Any]:
        return []


class OwnEndpointDispatch(Endpoint):
    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)


class InsteadOfPermissions(Endpoint):
    permission_classes = (drf.IsAuthenticated,)

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return HttpResponse()


class OwnInitial(Endpoint):
    permission_classes = (drf.IsAuthenticated,)

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)


class WithoutInitial(OwnInitial):
    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Checks nothing."""


class DecoratedPermission(drf.IsAuthenticated):
    @method_decorator(sensitive_variables())
    def has_permission(self, request: Any, view: Any) -> bool:
        return True


class Computed(Endpoint):
    permission_classes: Any = property(lambda self: [drf.IsAuthenticated, *self.kwargs])
    authentication_classes: Any = property(lambda self: [OurSubclass] if self.request else [])


class LoginEndpoint(LoginRequiredMixin, Endpoint):
    pass


class Scoped(Endpoint):
    permission_classes = (TokenHasScope,)
    required_scopes: ClassVar[Any] = {"GET": [], "POST": ["write"]}


class AnyScoped(Endpoint):
    permission_classes = (TokenHasAnyScope,)
    required_scopes = ("read",)


class WithClaims(Endpoint):
    permission_classes = (TokenHasClaims,)
    required_claims: ClassVar[Any] = {"plan": "gold"}


class ModelEndpoint(Endpoint):
    queryset = Group.objects.none()


class AsyncEndpoint(AsyncAPIView):  # type: ignore[misc]  # It has no types.
    authentication_classes = (AsyncZuploJWTAuthentication,)

    async def get(self, request: Any) -> Response:
        return Response()


def endpoint(*permissions: Any, **attributes: Any) -> Any:
    return Endpoint.as_view(permission_classes=permissions, **attributes)


def async_endpoint(*permissions: Any) -> Any:
    return AsyncEndpoint.as_view(permission_classes=permissions)


OURS_AND_SESSION = (ZuploJWTAuthentication, SessionAuthentication)

ENDPOINTS = [
    path("open", Endpoint.as_view()),
    path("nothing", endpoint()),
    path("allow", endpoint(drf.AllowAny)),
    path("authenticated", endpoint(drf.IsAuthenticated)),
    path("staff", endpoint(drf.IsAdminUser)),
    path("subclasses", endpoint(Signed, authentication_classes=[OurSubclass])),
    path("read-only", endpoint(drf.IsAuthenticatedOrReadOnly)),
    path("read-only/get", endpoint(drf.IsAuthenticatedOrReadOnly, http_method_names=["get"])),
    path("read-only/post", endpoint(drf.IsAuthenticatedOrReadOnly, http_method_names=["post"])),
    path("scope", Scoped.as_view()),
    path("scope/any", AnyScoped.as_view()),
    path("claims", WithClaims.as_view()),
    path("own", endpoint(OwnPermission)),
    path("own/inherits", endpoint(OwnIsAuthenticated)),
    path("own/objects", endpoint(OwnObjectPermission)),
    path("own/too", endpoint(drf.IsAuthenticated, OwnPermission)),
    path("and", endpoint(drf.IsAuthenticated & OwnPermission)),
    path("or", endpoint(drf.IsAuthenticated | drf.IsAdminUser)),
    path("or/own", endpoint(drf.IsAuthenticated | OwnPermission)),
    path("or/allow", endpoint(OwnPermission | drf.AllowAny)),
    path("or/read-only", endpoint(drf.IsAdminUser | drf.IsAuthenticatedOrReadOnly)),
    path("not", endpoint(~drf.IsAuthenticated)),
    path("not/read-only", endpoint(~drf.IsAuthenticatedOrReadOnly)),
    path("not/own", endpoint(~OwnPermission)),
    path("model", ModelEndpoint.as_view(permission_classes=[drf.DjangoModelPermissions])),
    path(
        "model/read-only",
        ModelEndpoint.as_view(permission_classes=[drf.DjangoModelPermissionsOrAnonReadOnly]),
    ),
    path("also", endpoint(drf.IsAuthenticated, authentication_classes=OURS_AND_SESSION)),
    path(
        "also/subclass",
        endpoint(Signed, authentication_classes=[SessionAuthentication, OurSubclass]),
    ),
    path("session", endpoint(drf.IsAuthenticated, authentication_classes=[SessionAuthentication])),
    path("nobody", endpoint(drf.IsAuthenticated, authentication_classes=[])),
    path("own/authentication", endpoint(drf.IsAuthenticated, authentication_classes=[Lenient])),
    path("own/verify", endpoint(drf.IsAuthenticated, authentication_classes=[OwnVerify])),
    path("computed", Computed.as_view()),
    path("get-permissions", OwnGetPermissions.as_view()),
    path("get-authenticators", OwnClasses.as_view()),
    path("get-authenticators/open", OwnClasses.as_view(permission_classes=[drf.AllowAny])),
    path("own-dispatch", OwnEndpointDispatch.as_view()),
    path("own-dispatch/instead", InsteadOfPermissions.as_view()),
    path("own-initial", OwnInitial.as_view()),
    path("own-initial/instead", WithoutInitial.as_view()),
    path("own/decorated", endpoint(DecoratedPermission)),
    path("own/object", endpoint(OwnObject())),
    path("own/partial", endpoint(partial(OwnPermission))),
    path("login", LoginEndpoint.as_view()),
    path("login/outside", login_required(endpoint(drf.IsAuthenticated))),
    path("async", async_endpoint(drf.IsAuthenticated)),
    path("async/open", async_endpoint(drf.AllowAny)),
    path("async/and", async_endpoint(drf.IsAuthenticated & OwnPermission)),
    path("async/or", async_endpoint(drf.IsAuthenticated | drf.AllowAny)),
    path("async/or/read-only", async_endpoint(drf.IsAdminUser | drf.IsAuthenticatedOrReadOnly)),
    path("async/not", async_endpoint(~drf.IsAuthenticated)),
    path("marked", token_not_required(endpoint(drf.IsAuthenticated))),
]


@permission_classes([drf.AllowAny])
def answer(*args: Any, **kwargs: Any) -> Response:
    return Response()


class Orders(ViewSet):
    permission_classes = (drf.IsAuthenticatedOrReadOnly,)
    list = create = update = answer

    @action(detail=False, permission_classes=[drf.IsAuthenticated])
    def mine(self, request: Any) -> Response:
        return Response()

    @action(detail=True, methods=["post"], permission_classes=[drf.AllowAny])
    def rate(self, request: Any, pk: str) -> Response:
        return Response()


@api_view(["POST"])
@authentication_classes([BasicAuthentication, ZuploJWTAuthentication])
@permission_classes([drf.IsAuthenticated])
def api_protected(request: Any) -> Response:
    return Response()


class StaffOrders(PermissionRequiredMixin, Orders):
    permission_required = "auth.add_group"


router = SimpleRouter()
router.register("orders", Orders, "order")
router.register("staff-orders", StaffOrders, "staff-order")
root_router = DefaultRouter()
root_router.APIRootView = type("Root", (APIRootView,), {"permission_classes": [drf.AllowAny]})


class OtherSite(admin.AdminSite):
    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request)


class SiteWithOwnView(admin.AdminSite):
    def admin_view(self, view: Any, cacheable: bool = False) -> Any:  # noqa: FBT001, FBT002
        return super().admin_view(view, cacheable)


class GroupAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Not generic at run time.
    def get_urls(self) -> list[Any]:
        return [
            path("report/", self.report),
            path("summary/", self.admin_site.admin_view(self.report)),
            *super().get_urls(),
        ]

    def report(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


own_site = admin.AdminSite("own")
own_site.register(Group, GroupAdmin)
other_site = OtherSite("other")
site_with_own_view = SiteWithOwnView("own-view")

ninja = NinjaAPI()


@ninja.get("/items")
def items(request: HttpRequest) -> list[int]:
    return []


urlpatterns = [
    path("views/", include((FUNCTIONS, "functions"))),
    path("classes/", include(CLASSES)),
    path("drf/", include(ENDPOINTS)),
    path("api-view/open", api_view(["GET", "POST"])(answer)),
    path("api-view/protected", api_protected),
    path("api-view/login", api_view(["GET"])(login_required(answer))),
    path("router/", include((router.urls, "shop"), namespace="first")),
    path("root/", include(root_router.urls)),
    path("ninja/", ninja.urls),
    path("admin/", admin.site.urls),
    path("own-admin/", own_site.urls),
    path("other-admin/", other_site.urls),
    path("own-view-admin/", site_with_own_view.urls),
    re_path(r"^regex/(?P<year>[0-9]{4})/$", plain),
    re_path(r"regex/anywhere", plain),
    path("nested/<int:number>/", include([path("deeper/<slug:name>/", plain)])),
    path("healthz", plain),
    re_path(r"^static/(?P<path>.*)$", plain),  # As django.conf.urls.static.static() makes it.
    *i18n_patterns(path("translated/", login_required(plain))),
]
