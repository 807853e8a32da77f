import jwt
from answer import algorithm, answer, audience, discover, issuer

client = None


def judge(token):
    global client
    if client is None:
        client = jwt.PyJWKClient(discover()["jwks_uri"])
    # It looks at no type by itself.
    if jwt.get_unverified_header(token).get("typ") != "at+jwt":
        raise ValueError("typ")
    key = client.get_signing_key_from_jwt(token).key
    return jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        audience=audience,
        issuer=issuer,
        options={"require": ["exp", "iat", "iss", "aud", "sub", "jti"]},
    )


answer(judge)
