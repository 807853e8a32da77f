"""Verifies access tokens with PyJWT: told the issuer and the audience, it finds everything else by itself."""
import json
import sys
import urllib.request

import jwt

asked = json.load(sys.stdin)
with urllib.request.urlopen(asked["issuer"] + "/.well-known/openid-configuration") as response:
    metadata = json.load(response)
if metadata["issuer"] != asked["issuer"]:
    raise SystemExit("the metadata is another issuer's")
client = jwt.PyJWKClient(metadata["jwks_uri"])
algorithms = metadata["id_token_signing_alg_values_supported"]


def verify(token):
    try:
        if jwt.get_unverified_header(token).get("typ") != "at+jwt":
            return "refused: typ"
        claims = jwt.decode(
            token,
            client.get_signing_key_from_jwt(token).key,
            algorithms=algorithms,
            audience=asked["audience"],
            issuer=metadata["issuer"],
            options={"require": ["exp", "iat", "iss", "aud", "sub", "jti"]},
        )
        return "sub: " + claims["sub"]
    except jwt.PyJWTError as error:
        return "refused: " + type(error).__name__


print(json.dumps([verify(token) for token in asked["tokens"]]))
