import os

ISSUER = os.environ.get("KEYTURN_ISSUER", "http://localhost:3000")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTStatelessUserAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
SIMPLE_JWT = {
    "ALGORITHM": "ES256",  # AUTH_SIGNING_ALGORITHM of Keyturn
    "JWK_URL": ISSUER + "/.well-known/jwks.json",
    "ISSUER": ISSUER,  # letter by letter
    "AUDIENCE": "api",  # one of AUTH_AUDIENCE of Keyturn
    "USER_ID_CLAIM": "sub",
    "TOKEN_USER_CLASS": "users.KeyturnUser",
    "SIGNING_KEY": None,  # this service signs nothing
}

# What every project has. There is no database: who somebody is, their token says.
SECRET_KEY = os.environ.get("SECRET_KEY", "of an example that signs nothing")
ALLOWED_HOSTS = ["localhost"]
DATABASES = {}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"]
REST_FRAMEWORK["DEFAULT_RENDERER_CLASSES"] = ["rest_framework.renderers.JSONRenderer"]
ROOT_URLCONF = "urls"
USE_TZ = True
