// One round of the unmodified Azure SDK for Go against a vaultcore service. Everything it knows
// about the service comes from the environment. It prints a line per step and ends with a status
// other than zero at the first difference.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := round(ctx, os.Getenv("VAULT_URL")); err != nil {
		fmt.Fprintf(os.Stderr, "FAILED %v\n", err)
		os.Exit(1)
	}
	fmt.Println("done")
}

func round(ctx context.Context, url string) error {
	if url == "" {
		return errors.New("VAULT_URL is not set: take the environment from `vaultcore env`")
	}
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return err
	}
	secrets, err := azsecrets.NewClient(url, credential, nil)
	if err != nil {
		return err
	}
	keys, err := azkeys.NewClient(url, credential, nil)
	if err != nil {
		return err
	}
	suffix := make([]byte, 4)
	if _, err := rand.Read(suffix); err != nil {
		return err
	}
	prefix := "go-" + hex.EncodeToString(suffix)
	if err := secretSteps(ctx, secrets, prefix); err != nil {
		return err
	}
	return keySteps(ctx, keys, prefix)
}

func step(name string, check func() error) error {
	if err := check(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Printf("ok %s\n", name)
	return nil
}

type named struct {
	name  string
	check func() error
}

func inOrder(steps []named) error {
	for _, s := range steps {
		if err := step(s.name, s.check); err != nil {
			return err
		}
	}
	return nil
}

func expect(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf("expected "+format, args...)
}

// refused checks that err is an answer of the service with this status, code and inner code.
func refused(err error, status int, code, inner string) error {
	var response *azcore.ResponseError
	if !errors.As(err, &response) {
		return fmt.Errorf("expected a refusal with status %d, got %v", status, err)
	}
	if response.StatusCode != status || response.ErrorCode != code {
		return fmt.Errorf(
			"expected %d %s, got %d %s", status, code, response.StatusCode, response.ErrorCode,
		)
	}
	body, readErr := runtime.Payload(response.RawResponse)
	if readErr != nil {
		return readErr
	}
	var parsed struct {
		Error struct {
			Inner struct {
				Code string `json:"code"`
			} `json:"innererror"`
		} `json:"error"`
	}
	if err := json.Unmarshal(body, &parsed); err != nil {
		return err
	}
	return expect(parsed.Error.Inner.Code == inner, "inner code %q, got %q", inner,
		parsed.Error.Inner.Code)
}
