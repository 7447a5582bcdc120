"""The demo's start page, and the endpoints of its embedded issuer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import Http404, HttpResponse, JsonResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.generic import TemplateView
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from . import embedded
from .serializers import TokenRequestSerializer

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

    from jwtauth.testing import Issuer

_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@method_decorator(never_cache, name="dispatch")
class StartView(TemplateView):
    """Says what this is, and lets a person try it."""

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
            stranger=embedded.STRANGER,
            **kwargs,
        )


@require_safe
def jwks(_request: HttpRequest) -> HttpResponse:
    """The public keys of the embedded issuer."""
    return JsonResponse(_issuer_or_404().jwks())


@require_safe
def discovery(_request: HttpRequest) -> HttpResponse:
    """The discovery document of the embedded issuer."""
    return JsonResponse(_issuer_or_404().discovery())


class TokenView(APIView):
    """Signs whatever token is asked for: in the demo, everybody is the gateway."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = (JSONParser,)
    renderer_classes = (JSONRenderer,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not embedded.is_enabled():
            raise NotFound

    def post(self, request: Request) -> Response:
        serializer = TokenRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        options = serializer.validated_data
        try:
            token = embedded.make_token(options.pop("claims", None), **options)
        except ValueError as error:
            raise ValidationError({"kid": [str(error)]}) from None
        return Response({"token": token}, headers={"Cache-Control": "no-store"})


def _issuer_or_404() -> Issuer:
    try:
        return embedded.get_issuer()
    except LookupError:
        raise Http404 from None
