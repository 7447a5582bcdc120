"""The demo's start page, and the endpoints of its embedded issuer."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpResponse, JsonResponse
from django.http.request import split_domain_port, validate_host
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.generic import TemplateView
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.exceptions import NotFound, ParseError, PermissionDenied
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from jwtauth.decorators import token_not_required

from . import embedded
from .serializers import ProblemSerializer, TokenRequestSerializer, TokenSerializer

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

    from jwtauth.testing import Issuer

_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The style sheet of Swagger UI contains its icons as data URLs.
_CONTENT_SECURITY_POLICY_OF_DOCS = f"{_CONTENT_SECURITY_POLICY}; img-src 'self' data:"


_LOCAL_HOSTS = (".localhost", "127.0.0.1", "[::1]")
_PROXY_HEADERS = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_VIA")
_NOT_LOCAL = (
    "The demo signs tokens only for the machine it runs on: open it there as "
    "http://localhost:8000/ or http://127.0.0.1:8000/, without a proxy or a tunnel in between. To "
    "try it from elsewhere, set JWTAUTH_ISSUER, so that a real gateway signs the tokens."
)


@method_decorator(token_not_required, name="dispatch")
@method_decorator(never_cache, name="dispatch")
class StartView(TemplateView):
    """Explains the demo, and lets visitors try it."""

    template_name = "project/start.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().get(request, *args, **kwargs)
        response["Content-Security-Policy"] = _CONTENT_SECURITY_POLICY
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            embedded=embedded.is_enabled(),
            issuer=settings.JWTAUTH.get("ISSUER"),
            algorithms=embedded.ALGORITHMS,
            **kwargs,
        )


@method_decorator(token_not_required, name="dispatch")
class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI, from static files and one script that this view serves."""

    template_name = "project/docs.html"

    def finalize_response(self, *args: Any, **kwargs: Any) -> Response:
        response: Response = super().finalize_response(*args, **kwargs)
        response["Content-Security-Policy"] = _CONTENT_SECURITY_POLICY_OF_DOCS
        return response


@require_safe
def caller(request: HttpRequest) -> HttpResponse:
    """Name the caller: a plain Django view, which the middleware protects."""
    return JsonResponse({"caller": str(request.user)})


@token_not_required
@require_safe
def jwks(_request: HttpRequest) -> HttpResponse:
    """Return the public keys of the embedded issuer."""
    return JsonResponse(_issuer_or_404().jwks())


@token_not_required
@require_safe
def discovery(_request: HttpRequest) -> HttpResponse:
    """Return the discovery document of the embedded issuer."""
    return JsonResponse(_issuer_or_404().discovery())


_WITH_CLAIMS = {"claims": {"sub": "alice", "plan": "gold"}, "lifetime": 3600}


@method_decorator(token_not_required, name="dispatch")
class TokenView(APIView):
    """Signs any token for users of this machine, who play the gateway."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = (JSONParser,)
    renderer_classes = (JSONRenderer,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not embedded.is_enabled():
            raise NotFound
        if not _is_local(request):
            raise PermissionDenied(_NOT_LOCAL)

    @extend_schema(
        summary="Get a token",
        tags=["issuer"],
        request=TokenRequestSerializer,
        examples=[
            OpenApiExample("With claims of its own", _WITH_CLAIMS, request_only=True),
            OpenApiExample("It has expired", {"lifetime": -60}, request_only=True),
            OpenApiExample("Signed by a stranger", {"stranger": True}, request_only=True),
            OpenApiExample(
                "Fields", {"lifetime": ["A valid integer is required."]}, status_codes=["400"]
            ),
        ],
        responses={
            200: OpenApiResponse(TokenSerializer, "The token."),
            400: OpenApiResponse(OpenApiTypes.OBJECT, "What is wrong, by field."),
            403: OpenApiResponse(ProblemSerializer, "The request is not from this machine."),
            404: OpenApiResponse(ProblemSerializer, "A real gateway signs the tokens."),
            415: OpenApiResponse(ProblemSerializer, "What was sent is not JSON."),
        },
    )
    def post(self, request: Request) -> Response:
        """Sign a token of the embedded issuer, on demand expired or with an unpublished key."""
        try:
            serializer = TokenRequestSerializer(data=request.data)
            serializer.is_valid(raise_exception=True)
            options = serializer.validated_data
            token = embedded.make_token(options.pop("claims", None), **options)
        except RecursionError:
            raise ParseError("This is nested too deeply.") from None
        return Response({"token": token}, headers={"Cache-Control": "no-store"})


def _is_local(request: Request) -> bool:
    """Return whether the request comes from this machine, as far as the demo can tell.

    Neither test is enough alone. Anybody can send ``Host: localhost``, and a proxy on this machine
    connects from a loopback address on behalf of anybody.
    """
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:  # A proxy, which connects through a Unix socket.
        return False
    own_host, _port = split_domain_port(urlsplit(settings.JWTAUTH["ISSUER"]).netloc)
    host, _port = split_domain_port(request.get_host())
    return (
        (getattr(address, "ipv4_mapped", None) or address).is_loopback
        and validate_host(host, [*_LOCAL_HOSTS, own_host])
        and not any(name in request.META for name in _PROXY_HEADERS)
    )


def _issuer_or_404() -> Issuer:
    try:
        return embedded.get_issuer()
    except LookupError:
        raise Http404 from None
