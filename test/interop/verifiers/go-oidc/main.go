// Verifies tokens with go-oidc, as the verifiers beside it do.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
)

func main() {
	issuer, audience, algorithm := os.Args[1], os.Args[2], os.Args[3]
	ctx := context.Background()
	var verifier *oidc.IDTokenVerifier
	judge := func(token string) (string, error) {
		if verifier == nil {
			provider, err := oidc.NewProvider(ctx, issuer)
			if err != nil {
				return "", err
			}
			// Without the setting it takes what the metadata names, in the words of OpenID Connect.
			verifier = provider.Verifier(&oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{algorithm}})
		}
		verified, err := verifier.Verify(ctx, token)
		if err != nil {
			return "", err
		}
		return verified.Subject, nil
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 65536), 1<<20)
	for lines.Scan() {
		var asked struct{ Token string }
		said := map[string]string{}
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			said["refused"] = err.Error()
		} else if subject, err := judge(asked.Token); err != nil {
			said["refused"] = err.Error()
		} else {
			said["sub"] = subject
		}
		text, _ := json.Marshal(said)
		fmt.Println(string(text))
	}
}
