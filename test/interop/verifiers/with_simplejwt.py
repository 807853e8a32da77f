"""Django REST Framework with simplejwt, by the settings of docs/django.md for a service of its own."""
import django
from answer import algorithm, answer, audience, issuer
from django.conf import settings

settings.configure(
    SECRET_KEY="of a test",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
    SIMPLE_JWT={
        "ALGORITHM": algorithm,
        "JWK_URL": issuer + "/.well-known/jwks.json",
        "ISSUER": issuer,
        "AUDIENCE": audience,
        "USER_ID_CLAIM": "sub",
    },
)
django.setup()
authentication = None


def judge(token):
    global authentication
    if authentication is None:
        # The settings are looked at here: an algorithm that it does not know is an error of its start.
        from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication

        authentication = JWTStatelessUserAuthentication()
    return authentication.get_validated_token(token).payload


answer(judge)
