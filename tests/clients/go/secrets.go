package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

func secretSteps(ctx context.Context, client *azsecrets.Client, prefix string) error {
	name := prefix + "-secret"
	var first, second string
	return inOrder([]named{
		{"set a secret", func() error {
			set, err := client.SetSecret(ctx, name, azsecrets.SetSecretParameters{
				Value:       to.Ptr("first"),
				ContentType: to.Ptr("text/plain"),
				Tags:        map[string]*string{"round": to.Ptr("go")},
			}, nil)
			if err != nil {
				return err
			}
			first = set.ID.Version()
			return expect(len(first) == 32 && *set.Value == "first" && *set.Tags["round"] == "go" &&
				*set.ContentType == "text/plain" && *set.Attributes.Enabled, "the bundle as it was set")
		}},
		{"get it", func() error { return holds(ctx, client, name, "", "first") }},
		{"set a second version", func() error {
			set, err := client.SetSecret(ctx, name,
				azsecrets.SetSecretParameters{Value: to.Ptr("second")}, nil)
			if err != nil {
				return err
			}
			second = set.ID.Version()
			return expect(second != first, "a version of its own")
		}},
		{"get the current one", func() error { return holds(ctx, client, name, "", "second") }},
		{"get the first by version", func() error { return holds(ctx, client, name, first, "first") }},
		{"disable the first", func() error {
			updated, err := client.UpdateSecretProperties(ctx, name, first,
				azsecrets.UpdateSecretPropertiesParameters{
					SecretAttributes: &azsecrets.SecretAttributes{Enabled: to.Ptr(false)},
				}, nil)
			if err != nil {
				return err
			}
			return expect(!*updated.Attributes.Enabled, "a disabled version")
		}},
		{"the first is refused", func() error {
			_, err := client.GetSecret(ctx, name, first, nil)
			return refused(err, http.StatusForbidden, "Forbidden", "SecretDisabled")
		}},
		{"the second is not", func() error { return holds(ctx, client, name, "", "second") }},
		{"list the versions", func() error { return versions(ctx, client, name, first, second) }},
		{"list over several pages", func() error { return pages(ctx, client, prefix) }},
		{"delete", func() error {
			deleted, err := client.DeleteSecret(ctx, name, nil)
			if err != nil {
				return err
			}
			if err := expect(deleted.RecoveryID != nil && deleted.ScheduledPurgeDate != nil,
				"a recovery id and a purge date"); err != nil {
				return err
			}
			return settled(ctx, func() error {
				_, err := client.GetDeletedSecret(ctx, name, nil)
				return err
			})
		}},
		{"a deleted one is not found", func() error {
			_, err := client.GetSecret(ctx, name, "", nil)
			return refused(err, http.StatusNotFound, "SecretNotFound", "")
		}},
		{"recover", func() error {
			if _, err := client.RecoverDeletedSecret(ctx, name, nil); err != nil {
				return err
			}
			return settled(ctx, func() error { return holds(ctx, client, name, "", "second") })
		}},
		{"delete and purge", func() error {
			if _, err := client.DeleteSecret(ctx, name, nil); err != nil {
				return err
			}
			err := settled(ctx, func() error {
				_, err := client.PurgeDeletedSecret(ctx, name, nil)
				return err
			})
			if err != nil {
				return err
			}
			_, err = client.GetDeletedSecret(ctx, name, nil)
			return refused(err, http.StatusNotFound, "SecretNotFound", "")
		}},
		{"a backup without the permission is refused", func() error {
			_, err := client.BackupSecret(ctx, prefix+"-page-00", nil)
			return refused(err, http.StatusForbidden, "Forbidden", "AccessDenied")
		}},
	})
}

func holds(ctx context.Context, client *azsecrets.Client, name, version, value string) error {
	got, err := client.GetSecret(ctx, name, version, nil)
	if err != nil {
		return err
	}
	return expect(*got.Value == value, "%q, got %q", value, *got.Value)
}

func versions(ctx context.Context, client *azsecrets.Client, name, first, second string) error {
	enabled := map[string]bool{}
	for pager := client.NewListSecretPropertiesVersionsPager(name, nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, item := range page.Value {
			enabled[item.ID.Version()] = *item.Attributes.Enabled
		}
	}
	return expect(len(enabled) == 2 && !enabled[first] && enabled[second],
		"two versions with the first disabled, got %v", enabled)
}

func pages(ctx context.Context, client *azsecrets.Client, prefix string) error {
	const made = 30
	for i := range made {
		name := fmt.Sprintf("%s-page-%02d", prefix, i)
		_, err := client.SetSecret(ctx, name, azsecrets.SetSecretParameters{Value: to.Ptr("x")}, nil)
		if err != nil {
			return err
		}
	}
	seen, count := map[string]int{}, 0
	for pager := client.NewListSecretPropertiesPager(nil); pager.More(); count++ {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return err
		}
		if len(page.Value) > 25 {
			return fmt.Errorf("expected at most 25 on a page, got %d", len(page.Value))
		}
		for _, item := range page.Value {
			if item.ID.Version() != "" {
				return fmt.Errorf("expected identifiers without a version, got %s", *item.ID)
			}
			if strings.HasPrefix(item.ID.Name(), prefix+"-page-") {
				seen[item.ID.Name()]++
			}
		}
	}
	for name, times := range seen {
		if times != 1 {
			return fmt.Errorf("expected %s once, got it %d times", name, times)
		}
	}
	return expect(len(seen) == made && count >= 2, "%d secrets on two pages or more, got %d on %d",
		made, len(seen), count)
}

// settled repeats what the service may refuse while a deletion or a recovery is still under way.
func settled(ctx context.Context, try func() error) error {
	for {
		err := try()
		var response *azcore.ResponseError
		pending := errors.As(err, &response) && (response.StatusCode == http.StatusNotFound ||
			response.StatusCode == http.StatusConflict)
		if !pending {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}
