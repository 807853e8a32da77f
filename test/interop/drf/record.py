"""Records what clients of Django REST Framework see on the wire, from the real packages.

  python3 -m venv venv && venv/bin/pip install 'django==4.2.*' 'djangorestframework==3.14.*' \
      djangorestframework-simplejwt==5.5.1 djoser==2.3.5 django-rest-knox==5.1.0
  venv/bin/python test/interop/drf/record.py > test/vectors/drf/wire.json
"""

import base64
import datetime
import json
import re
import sys

import django
from django.conf import settings

sys.stdout.reconfigure(encoding="utf-8")
settings.configure(
    DEBUG=False,
    SECRET_KEY="a secret key that is long enough for HS256",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    APPEND_SLASH=False,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "rest_framework",
        "rest_framework.authtoken",
        "rest_framework_simplejwt.token_blacklist",
        "knox",
        "djoser",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    AUTH_PASSWORD_VALIDATORS=[
        {"NAME": "django.contrib.auth.password_validation." + name}
        for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
    ],
    REST_FRAMEWORK={
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework_simplejwt.authentication.JWTAuthentication",
            "rest_framework.authentication.TokenAuthentication",
        ],
    },
    SIMPLE_JWT={"ROTATE_REFRESH_TOKENS": True, "BLACKLIST_AFTER_ROTATION": True},
    DJOSER={},
)
django.setup()

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from django.urls import include, path
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.views import LoginView as KnoxLogin, LogoutAllView, LogoutView
from rest_framework import throttling
from rest_framework.authentication import BasicAuthentication, SessionAuthentication, TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.views import obtain_auth_token
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken
from rest_framework_simplejwt.views import TokenBlacklistView, TokenObtainPairView, TokenRefreshView, TokenVerifyView


class Protected(APIView):
    permission_classes = [IsAuthenticated]
    authentication_classes = [JWTAuthentication]

    def get(self, request):
        return Response({"username": request.user.username})


class Throttle(throttling.AnonRateThrottle):
    THROTTLE_RATES = {"anon": "1/m"}
    timer = lambda self: 1_900_000_000.0


class Throttled(APIView):
    authentication_classes = []
    throttle_classes = [Throttle]

    def get(self, request):
        return Response({})


def protected(*classes, permission=IsAuthenticated):
    return Protected.as_view(authentication_classes=list(classes), permission_classes=[permission])


class BasicKnoxLogin(KnoxLogin):
    authentication_classes = [BasicAuthentication]


urlpatterns = [
    path("api-token-auth/", obtain_auth_token),
    path("api/token/", TokenObtainPairView.as_view()),
    path("api/token/refresh/", TokenRefreshView.as_view()),
    path("api/token/verify/", TokenVerifyView.as_view()),
    path("api/token/blacklist/", TokenBlacklistView.as_view()),
    path("api/auth/login/", BasicKnoxLogin.as_view()),
    path("api/auth/logout/", LogoutView.as_view()),
    path("api/auth/logoutall/", LogoutAllView.as_view()),
    path("auth/", include("djoser.urls")),
    path("auth/", include("djoser.urls.authtoken")),
    path("auth/", include("djoser.urls.jwt")),
    path("jwt/", protected(JWTAuthentication)),
    path("jwt-admin/", protected(JWTAuthentication, permission=IsAdminUser)),
    path("token/", protected(TokenAuthentication)),
    path("jwt-token/", protected(JWTAuthentication, TokenAuthentication)),
    path("token-jwt/", protected(TokenAuthentication, JWTAuthentication)),
    path("session/", protected(SessionAuthentication, TokenAuthentication)),
    path("basic/", protected(BasicAuthentication)),
    path("throttled/", Throttled.as_view()),
]

call_command("migrate", verbosity=0)
User = get_user_model()
User.objects.create_user("ada", "ada@example.com", "correct horse battery")
User.objects.create_user("gone", "gone@example.com", "correct horse battery", is_active=False)
client = Client(raise_request_exception=False)
rows = []
symbols = {}


def named(symbol, text):
    """Has a token stand in the recording under a name: whoever replays it makes one of their own."""
    symbols[text] = "{" + symbol + "}"
    return text


ADA = {"username": "ada", "password": "correct horse battery"}


def send(method, url, data=None, kind="application/json", raw=None, **headers):
    extra = {"HTTP_" + name.upper(): value for name, value in headers.items()}
    body = raw if raw is not None else "" if data is None else data if kind.startswith("multipart") else json.dumps(data)
    if kind.startswith("multipart") and raw is None:
        return client.post(url, data, **extra)
    return client.generic(method, url, body, content_type=kind if (data is not None or raw is not None) else "", **extra)


def record(name, method, url, data=None, kind="application/json", raw=None, **headers):
    response = send(method, url, data, kind, raw, **headers)
    text = response.content.decode()
    kept = {h: response.headers[h] for h in ("Allow", "WWW-Authenticate", "Content-Type", "Retry-After") if h in response.headers}
    rows.append({
        "name": name,
        "request": {"method": method, "path": url, "type": kind if (data is not None or raw is not None) else None,
                    "body": raw if raw is not None else data, "headers": headers},
        "response": {"status": response.status_code, "headers": kept, "body": "" if text.lstrip().startswith("<!doctype") else text},
    })
    return response


def pair(symbol):
    tokens = send("POST", "/api/token/", ADA).json()
    return {kind: named(f"{symbol} {kind}", text) for kind, text in tokens.items()}


# --- authtoken
record("authtoken ok", "POST", "/api-token-auth/", ADA)
record("authtoken again", "POST", "/api-token-auth/", ADA)
record("authtoken wrong", "POST", "/api-token-auth/", {**ADA, "password": "wrong"})
record("authtoken inactive", "POST", "/api-token-auth/", {**ADA, "username": "gone"})
for url, fields in (("/api-token-auth/", ("username", "password")), ("/api/token/", ("username", "password")), ("/api/token/refresh/", ("refresh",)),
                    ("/api/token/verify/", ("token",)), ("/api/token/blacklist/", ("refresh",)), ("/auth/token/login/", ("username", "password")),
                    ("/auth/jwt/create/", ("username", "password")), ("/auth/jwt/refresh/", ("refresh",)), ("/auth/jwt/verify/", ("token",)), ("/auth/users/", ("username", "password"))):
    record(f"{url} missing", "POST", url, {})
    for label, value in (("blank", ""), ("null", None), ("list", []), ("object", {"a": 1}), ("number", 5), ("true", True), ("spaces", "   "), ("nul", "a\0b"), ("float", 1.5)):
        record(f"{url} {label}", "POST", url, {field: value for field in fields})
    for label, raw in (("empty", ""), ("array", "[]"), ("string", '"x"'), ("number body", "5"), ("null body", "null"), ("open", "{"), ("bare", "{a}"), ("trailing", '{"a": 1,}'), ("colon", '{"a" 1}'),
                       ("value", '{"a": }'), ("comma", '{"a": 1 "b": 2}'), ("string end", '{"a": "b'), ("control", '{"a": "b\n"}'), ("escape", '{"a": "\\q"}'), ("extra", "{} {}"), ("nan", '{"a": NaN}'), ("single", "{'a': 1}"), ("words", "hello"), ("line two", '{\n "a": x}'), ("unicode escape", '{"a": "\\u12"}'), ("array comma", "[1,]"), ("array open", "[1 2]")):
        record(f"{url} json {label}", "POST", url, raw=raw)
    record(f"{url} text", "POST", url, raw="x", kind="text/plain")
    record(f"{url} xml", "POST", url, raw="<a/>", kind="application/xml")
    record(f"{url} no type", "POST", url, raw="x", kind="")
    record(f"{url} charset", "POST", url, raw="{}", kind="application/json; charset=latin-1")
    record(f"{url} bad charset", "POST", url, raw="{}", kind="application/json; charset=nope")
    for method in ("GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"):
        record(f"{url} {method}", method, url)
    record(f"{url} no slash", "POST", url.rstrip("/"), {})
for url in ("/api-token-auth/", "/api/token/", "/auth/token/login/"):
    record(f"{url} form", "POST", url, raw="username=ada&password=correct+horse+battery", kind="application/x-www-form-urlencoded")
    record(f"{url} multipart", "POST", url, ADA, kind="multipart/form-data")
    record(f"{url} form twice", "POST", url, raw="username=x&username=ada&password=correct+horse+battery", kind="application/x-www-form-urlencoded")
    record(f"{url} form missing", "POST", url, raw="username=ada", kind="application/x-www-form-urlencoded")
    record(f"{url} extra", "POST", url, {**ADA, "more": 1})
    record(f"{url} spaces around name", "POST", url, {**ADA, "username": " ada "})
    record(f"{url} long", "POST", url, {**ADA, "username": "x" * 10_000})
    record(f"{url} query instead of body", "POST", url + "?username=ada&password=correct+horse+battery", {})
    record(f"{url} bad authorization", "POST", url, ADA, authorization="Bearer garbage")
    record(f"{url} bad token authorization", "POST", url, ADA, authorization="Token garbage")
# --- simplejwt
record("jwt ok", "POST", "/api/token/", ADA)
record("jwt wrong", "POST", "/api/token/", {**ADA, "password": "wrong"})
record("jwt unknown", "POST", "/api/token/", {**ADA, "username": "nobody"})
record("jwt inactive", "POST", "/api/token/", {**ADA, "username": "gone"})
old = pair("first")
record("refresh rotating", "POST", "/api/token/refresh/", {"refresh": old["refresh"]})
record("refresh used", "POST", "/api/token/refresh/", {"refresh": old["refresh"]})
record("verify used refresh", "POST", "/api/token/verify/", {"token": old["refresh"]})
record("verify access", "POST", "/api/token/verify/", {"token": old["access"]})
record("refresh access", "POST", "/api/token/refresh/", {"refresh": old["access"]})
record("refresh garbage", "POST", "/api/token/refresh/", {"refresh": "garbage"})
record("verify garbage", "POST", "/api/token/verify/", {"token": "garbage"})
expired = RefreshToken.for_user(User.objects.get(username="ada"))
expired.set_exp(lifetime=-datetime.timedelta(days=1))
named("expired refresh", str(expired))
record("refresh expired", "POST", "/api/token/refresh/", {"refresh": str(expired)})
record("verify expired", "POST", "/api/token/verify/", {"token": str(expired)})
record("blacklist expired", "POST", "/api/token/blacklist/", {"refresh": str(expired)})
fresh = pair("second")
record("blacklist ok", "POST", "/api/token/blacklist/", {"refresh": fresh["refresh"]})
record("blacklist again", "POST", "/api/token/blacklist/", {"refresh": fresh["refresh"]})
record("blacklist access", "POST", "/api/token/blacklist/", {"refresh": fresh["access"]})
record("blacklist garbage", "POST", "/api/token/blacklist/", {"refresh": "garbage"})
inactive = RefreshToken.for_user(User.objects.get(username="gone"))
named("inactive refresh", str(inactive))
record("refresh inactive", "POST", "/api/token/refresh/", {"refresh": str(inactive)})
third = pair("third")
access = third["access"]
old_access = AccessToken.for_user(User.objects.get(username="ada")); old_access.set_exp(lifetime=-datetime.timedelta(days=1))
no_user = AccessToken()
ghost = AccessToken.for_user(User.objects.get(username="ada")); ghost["user_id"] = "999"
idle = AccessToken.for_user(User.objects.get(username="gone"))
named("expired access", str(old_access))
named("access without user", str(no_user))
named("access of nobody", str(ghost))
named("access of inactive", str(idle))
key = Token.objects.get_or_create(user=User.objects.get(username="ada"))[0].key
named("token", key)
gone_key = Token.objects.get_or_create(user=User.objects.get(username="gone"))[0].key
named("token of inactive", gone_key)
basic = lambda text: "Basic " + base64.b64encode(text.encode()).decode()
headers = {
    "none": None, "good jwt": f"Bearer {access}", "lower case": f"bearer {access}", "garbage": "Bearer garbage", "expired": f"Bearer {old_access}",
    "refresh as access": f"Bearer {third['refresh']}", "alone": "Bearer", "three parts": "Bearer a b", "no user": f"Bearer {no_user}", "deleted": f"Bearer {ghost}", "inactive": f"Bearer {idle}",
    "good token": f"Token {key}", "lower token": f"token {key}", "upper token": f"TOKEN {key}", "unknown key": "Token " + "0" * 40, "token alone": "Token", "token spaces": "Token a b", "inactive token": f"Token {gone_key}",
    "good basic": basic("ada:correct horse battery"), "wrong basic": basic("ada:wrong"), "inactive basic": basic("gone:correct horse battery"), "basic alone": "Basic", "basic spaces": "Basic a b", "basic garbage": "Basic !!!", "basic no colon": basic("ada"), "digest": "Digest x",
}
for view in ("jwt", "jwt-admin", "token", "jwt-token", "token-jwt", "session", "basic"):
    for label, value in headers.items():
        record(f"{view}: {label}", "GET", f"/{view}/", **({} if value is None else {"authorization": value}))
record("method before authentication", "POST", "/jwt/", {}, authorization=f"Bearer {access}")
record("options protected anonymous", "OPTIONS", "/jwt/")
record("options protected", "OPTIONS", "/jwt/", authorization=f"Bearer {access}")
record("throttle first", "GET", "/throttled/")
record("throttled", "GET", "/throttled/")
# --- knox
record("knox login none", "POST", "/api/auth/login/")
record("knox login wrong", "POST", "/api/auth/login/", authorization=basic("ada:wrong"))
knox = record("knox login", "POST", "/api/auth/login/", authorization=basic("ada:correct horse battery")).json()["token"]
named("knox", knox)
record("knox login get", "GET", "/api/auth/login/", authorization=basic("ada:correct horse battery"))
record("knox login options", "OPTIONS", "/api/auth/login/", authorization=basic("ada:correct horse battery"))
knox2 = send("POST", "/api/auth/login/", authorization=basic("ada:correct horse battery")).json()["token"]
named("second knox", knox2)
record("knox logout none", "POST", "/api/auth/logout/")
record("knox logout", "POST", "/api/auth/logout/", authorization=f"Token {knox}")
record("knox logout again", "POST", "/api/auth/logout/", authorization=f"Token {knox}")
record("knox logout garbage", "POST", "/api/auth/logout/", authorization="Token garbage")
record("knox logout alone", "POST", "/api/auth/logout/", authorization="Token")
record("knox logout spaces", "POST", "/api/auth/logout/", authorization="Token a b")
record("knox logout get", "GET", "/api/auth/logout/", authorization=f"Token {knox2}")
record("knox logoutall", "POST", "/api/auth/logoutall/", authorization=f"Token {knox2}")
record("knox logoutall again", "POST", "/api/auth/logoutall/", authorization=f"Token {knox2}")
# --- djoser
who = {"authorization": f"Token {key}"}
record("djoser login", "POST", "/auth/token/login/", ADA)
record("djoser login wrong", "POST", "/auth/token/login/", {**ADA, "password": "wrong"})
record("djoser login inactive", "POST", "/auth/token/login/", {**ADA, "username": "gone"})
record("djoser logout none", "POST", "/auth/token/logout/")
record("djoser create", "POST", "/auth/users/", {"username": "bob", "password": "a fine long secret", "email": "b@x.io"})
record("djoser create without email", "POST", "/auth/users/", {"username": "carl", "password": "a fine long secret"})
record("djoser create form", "POST", "/auth/users/", raw="username=dora&password=a+fine+long+secret", kind="application/x-www-form-urlencoded")
record("djoser create taken", "POST", "/auth/users/", {"username": "bob", "password": "a fine long secret"})
record("djoser create weak", "POST", "/auth/users/", {"username": "eve", "password": "123456"})
record("djoser create common", "POST", "/auth/users/", {"username": "eve", "password": "password"})
record("djoser create bad name", "POST", "/auth/users/", {"username": "e v e", "password": "a fine long secret"})
record("djoser create long name", "POST", "/auth/users/", {"username": "e" * 151, "password": "a fine long secret"})
record("djoser create bad email", "POST", "/auth/users/", {"username": "eve", "email": "nope", "password": "a fine long secret"})
record("djoser create null email", "POST", "/auth/users/", {"username": "eve", "email": None, "password": "a fine long secret"})
record("djoser me none", "GET", "/auth/users/me/")
record("djoser me", "GET", "/auth/users/me/", **who)
record("djoser me options", "OPTIONS", "/auth/users/me/", **who)
record("djoser me put", "PUT", "/auth/users/me/", {"email": "new@example.com"}, **who)
record("djoser me put empty", "PUT", "/auth/users/me/", {}, **who)
record("djoser me patch", "PATCH", "/auth/users/me/", {"email": "ada@example.com", "username": "x", "id": 7}, **who)
record("djoser me patch bad", "PATCH", "/auth/users/me/", {"email": "nope"}, **who)
record("djoser me post", "POST", "/auth/users/me/", {}, **who)
record("djoser list none", "GET", "/auth/users/")
record("djoser list", "GET", "/auth/users/", **who)
record("djoser other", "GET", "/auth/users/2/", **who)
record("djoser self", "GET", "/auth/users/1/", **who)
record("djoser self options", "OPTIONS", "/auth/users/1/", **who)
record("djoser users put", "PUT", "/auth/users/", {}, **who)
record("djoser set_password", "POST", "/auth/users/set_password/", {"current_password": ADA["password"], "new_password": "another fine secret"}, **who)
record("djoser set_password back", "POST", "/auth/users/set_password/", {"current_password": "another fine secret", "new_password": ADA["password"]}, **who)
record("djoser set_password wrong", "POST", "/auth/users/set_password/", {"current_password": "wrong", "new_password": "another fine secret"}, **who)
record("djoser set_password weak", "POST", "/auth/users/set_password/", {"current_password": ADA["password"], "new_password": "123"}, **who)
record("djoser set_password missing", "POST", "/auth/users/set_password/", {}, **who)
record("djoser set_password none", "POST", "/auth/users/set_password/", {})
record("djoser set_password get", "GET", "/auth/users/set_password/", **who)
record("djoser set_username", "POST", "/auth/users/set_username/", {"current_password": ADA["password"], "new_username": "ada2"}, **who)
record("djoser set_username back", "POST", "/auth/users/set_username/", {"current_password": ADA["password"], "new_username": "ada"}, **who)
record("djoser set_username taken", "POST", "/auth/users/set_username/", {"current_password": ADA["password"], "new_username": "bob"}, **who)
record("djoser set_username bad", "POST", "/auth/users/set_username/", {"current_password": ADA["password"], "new_username": "a b"}, **who)
record("djoser set_username wrong", "POST", "/auth/users/set_username/", {"current_password": "wrong", "new_username": "ada3"}, **who)
record("djoser set_username missing", "POST", "/auth/users/set_username/", {}, **who)
record("djoser jwt create", "POST", "/auth/jwt/create/", ADA)
record("djoser jwt wrong", "POST", "/auth/jwt/create/", {**ADA, "password": "wrong"})
record("djoser logout", "POST", "/auth/token/logout/", **who)
record("djoser logout again", "POST", "/auth/token/logout/", **who)
record("djoser logout get", "GET", "/auth/token/logout/", authorization=f"Bearer {pair('fourth')['access']}")
bearer = {"authorization": f"Bearer {pair('fifth')['access']}"}
record("djoser me by jwt", "GET", "/auth/users/me/", **bearer)
record("djoser logout by jwt", "POST", "/auth/token/logout/", **bearer)
record("djoser delete wrong", "DELETE", "/auth/users/me/", {"current_password": "wrong"}, **bearer)
record("djoser delete missing", "DELETE", "/auth/users/me/", {}, **bearer)
record("djoser delete", "DELETE", "/auth/users/me/", {"current_password": ADA["password"]}, **bearer)
record("djoser me after delete", "GET", "/auth/users/me/", **bearer)
record("unknown path", "GET", "/api/nothing/")

def neutral(value):
    if isinstance(value, str):
        for text, symbol in symbols.items():
            value = value.replace(text, symbol)
        value = re.sub(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+", "<jwt>", value)
        value = re.sub(r"\b(?!0{40})[0-9a-f]{64}\b", "<64 hex>", value)
        value = re.sub(r"\b(?!0{40})[0-9a-f]{40}\b", "<40 hex>", value)
        value = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "<time>", value)
        return value
    if isinstance(value, dict):
        return {name: neutral(item) for name, item in value.items()}
    return value

out = [json.dumps({**row, "request": neutral(row["request"]), "response": neutral(row["response"])}, ensure_ascii=False) for row in rows]
sys.stdout.write("[\n" + ",\n".join(out) + "\n]\n")
