"""Verifies access tokens with jwcrypto: told the issuer and the audience, it finds everything else by itself."""
import json
import sys
import urllib.request

from jwcrypto import jwk, jws, jwt

asked = json.load(sys.stdin)


def fetch(url):
    with urllib.request.urlopen(url) as response:
        return response.read().decode()


metadata = json.loads(fetch(asked["issuer"] + "/.well-known/oauth-authorization-server"))
if metadata["issuer"] != asked["issuer"]:
    raise SystemExit("the metadata is another issuer's")
keys = jwk.JWKSet.from_json(fetch(metadata["jwks_uri"]))
algorithms = metadata["id_token_signing_alg_values_supported"]


def verify(token):
    try:
        verifier = jwt.JWT(
            algs=algorithms,
            check_claims={"iss": metadata["issuer"], "aud": asked["audience"], "exp": None, "sub": None},
        )
        verifier.leeway = 0
        verifier.deserialize(token, keys)
        if json.loads(verifier.header).get("typ") != "at+jwt":
            return "refused: typ"
        return "sub: " + json.loads(verifier.claims)["sub"]
    except (jwt.JWException, jws.InvalidJWSSignature, ValueError, KeyError) as error:
        return "refused: " + type(error).__name__


print(json.dumps([verify(token) for token in asked["tokens"]]))
