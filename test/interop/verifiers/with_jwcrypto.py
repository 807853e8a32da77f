import json

from answer import KeySet, algorithm, answer, audience, issuer
from jwcrypto import jwk, jws, jwt

keys = KeySet()


def judge(token):
    unverified = jws.JWS()
    unverified.deserialize(token)
    known = jwk.JWKSet.from_json(keys.knowing(unverified.jose_header.get("kid")))
    expected = {"iss": issuer, "aud": audience, "exp": None, "sub": None}
    # It looks at those claims alone that are named, and a claim that is named has to be there.
    if "nbf" in json.loads(unverified.objects["payload"]):
        expected["nbf"] = None
    verifier = jwt.JWT(algs=[algorithm], check_claims=expected)
    verifier.leeway = 0
    verifier.deserialize(token, known)
    # It looks at no type by itself.
    if json.loads(verifier.header).get("typ") != "at+jwt":
        raise ValueError("typ")
    return json.loads(verifier.claims)


answer(judge)
