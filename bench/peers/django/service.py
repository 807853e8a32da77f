"""Django REST Framework with simplejwt as their manuals set them up: rotating refresh tokens and the blacklist.

`service.py prepare N` makes the tables, 32 accounts and N refresh tokens, which it prints; gunicorn serves `application`.
Only the parameters of the hash are not Django's but OWASP's, as everywhere in this bench.
"""
import os
import sys
from datetime import timedelta
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher

url = urlsplit(os.environ['DATABASE_URL'])


class OwaspArgon2(Argon2PasswordHasher):
    time_cost = 2
    memory_cost = 19456
    parallelism = 1


if not settings.configured:
    settings.configure(
        SECRET_KEY='a secret that is long enough for a bench',
        ALLOWED_HOSTS=['*'],
        ROOT_URLCONF='service',
        USE_TZ=True,
        DEFAULT_AUTO_FIELD='django.db.models.BigAutoField',
        INSTALLED_APPS=[
            'django.contrib.auth',
            'django.contrib.contenttypes',
            'rest_framework',
            'rest_framework_simplejwt.token_blacklist',
        ],
        MIDDLEWARE=['django.middleware.common.CommonMiddleware'],
        PASSWORD_HASHERS=['service.OwaspArgon2'],
        DATABASES={
            'default': {
                'ENGINE': 'django.db.backends.postgresql',
                'HOST': url.hostname,
                'PORT': url.port,
                'USER': url.username,
                'PASSWORD': url.password,
                'NAME': url.path[1:],
                'CONN_MAX_AGE': None,
            }
        },
        REST_FRAMEWORK={
            'DEFAULT_AUTHENTICATION_CLASSES': ['rest_framework_simplejwt.authentication.JWTAuthentication'],
            'DEFAULT_RENDERER_CLASSES': ['rest_framework.renderers.JSONRenderer'],
        },
        SIMPLE_JWT={
            'ACCESS_TOKEN_LIFETIME': timedelta(hours=1),
            'REFRESH_TOKEN_LIFETIME': timedelta(days=14),
            'ROTATE_REFRESH_TOKENS': True,
            'BLACKLIST_AFTER_ROTATION': True,
        },
    )
    django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework_simplejwt import views  # noqa: E402

urlpatterns = [
    path('api/token/', views.TokenObtainPairView.as_view()),
    path('api/token/refresh/', views.TokenRefreshView.as_view()),
    path('api/token/verify/', views.TokenVerifyView.as_view()),
    path('api/token/blacklist/', views.TokenBlacklistView.as_view()),
]
application = get_wsgi_application()


def prepare(count):
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import transaction
    from rest_framework_simplejwt.tokens import RefreshToken

    call_command('migrate', verbosity=0)
    users = [User.objects.create_user(f'user-{n}', password='correct horse battery') for n in range(32)]
    with transaction.atomic():
        for n in range(count):
            print(RefreshToken.for_user(users[n % 32]))


if __name__ == '__main__':
    prepare(int(sys.argv[2]))
