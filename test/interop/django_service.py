"""A Django REST Framework service of the project in the folder that is its argument: its settings, its classes.

Answers each line of standard input, {"path", "token"}, with a line {"status", "body", "headers"}, by way of Django's
test client: everything but the socket is as it is when served. Ends with its input.
"""
import json
import os
import sys

sys.path.insert(0, sys.argv[1])
os.environ["DJANGO_SETTINGS_MODULE"] = "myproject.settings"

import django
from django.conf import settings

# What every project has in its settings, and is not the documentation's business.
settings.SECRET_KEY = "of a test"
settings.ROOT_URLCONF = __name__
settings.ALLOWED_HOSTS = ["testserver"]
django.setup()

from django.urls import path
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from myproject.introspection import IntrospectingAuthentication
from myproject.permissions import MayChangeArticles


class Whoami(APIView):
    """Permitted to whom the settings permit it."""

    def get(self, request):
        user = request.user
        return Response(
            {
                "pk": user.pk,
                "is_staff": user.is_staff,
                "is_superuser": user.is_superuser,
                "has_perms": user.has_perms(["articles.change_article", "articles.view_article"]),
                "has_module_perms": user.has_module_perms("articles"),
            }
        )


introspecting = {"authentication_classes": [IntrospectingAuthentication]}

urlpatterns = [
    path("default", Whoami.as_view()),
    path("authenticated", Whoami.as_view(permission_classes=[IsAuthenticated])),
    path("admin", Whoami.as_view(permission_classes=[IsAdminUser])),
    path("articles", Whoami.as_view(permission_classes=[MayChangeArticles])),
    path("introspecting/authenticated", Whoami.as_view(permission_classes=[IsAuthenticated], **introspecting)),
    path("introspecting/admin", Whoami.as_view(permission_classes=[IsAdminUser], **introspecting)),
    path("introspecting/articles", Whoami.as_view(permission_classes=[MayChangeArticles], **introspecting)),
]


client = APIClient(raise_request_exception=False)

for line in sys.stdin:
    asked = json.loads(line)
    headers = {} if asked.get("token") is None else {"HTTP_AUTHORIZATION": "Bearer " + asked["token"]}
    response = client.get("/" + asked["path"], **headers)
    answer = {
        "status": response.status_code,
        "body": response.content.decode(),
        "headers": {name.lower(): value for name, value in response.items()},
    }
    print(json.dumps(answer), flush=True)
