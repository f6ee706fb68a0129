package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

func keySteps(ctx context.Context, client *azkeys.Client, prefix string) error {
	rsaName, ecName := prefix+"-rsa", prefix+"-ec"
	var rsaKey, ecKey *azkeys.JSONWebKey
	digest := sha256.Sum256([]byte("a message"))
	return inOrder([]named{
		{"create an RSA key", func() (err error) {
			rsaKey, err = create(ctx, client, rsaName, azkeys.CreateKeyParameters{
				Kty: to.Ptr(azkeys.KeyTypeRSA), KeySize: to.Ptr(int32(2048)),
			})
			return
		}},
		{"create an EC key", func() (err error) {
			ecKey, err = create(ctx, client, ecName, azkeys.CreateKeyParameters{
				Kty: to.Ptr(azkeys.KeyTypeEC), Curve: to.Ptr(azkeys.CurveNameP256),
			})
			return
		}},
		{"sign and verify RS256", func() error {
			signature, err := signed(ctx, client, rsaName, azkeys.SignatureAlgorithmRS256, digest[:])
			if err != nil {
				return err
			}
			return rsa.VerifyPKCS1v15(rsaPublic(rsaKey), crypto.SHA256, digest[:], signature)
		}},
		{"sign and verify PS256", func() error {
			signature, err := signed(ctx, client, rsaName, azkeys.SignatureAlgorithmPS256, digest[:])
			if err != nil {
				return err
			}
			return rsa.VerifyPSS(rsaPublic(rsaKey), crypto.SHA256, digest[:], signature,
				&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}},
		{"sign and verify ES256", func() error {
			signature, err := signed(ctx, client, ecName, azkeys.SignatureAlgorithmES256, digest[:])
			if err != nil {
				return err
			}
			if len(signature) != 64 {
				return fmt.Errorf("expected 64 bytes r||s, got %d", len(signature))
			}
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			return expect(ecdsa.Verify(ecPublic(ecKey), digest[:], r, s), "a true signature")
		}},
		{"encrypt and decrypt", func() error {
			return roundTrip([]byte("a plaintext"),
				azkeys.EncryptionAlgorithmRSAOAEP256,
				func(p azkeys.KeyOperationParameters) ([]byte, error) {
					answer, err := client.Encrypt(ctx, rsaName, "", p, nil)
					return answer.Result, err
				},
				func(p azkeys.KeyOperationParameters) ([]byte, error) {
					answer, err := client.Decrypt(ctx, rsaName, "", p, nil)
					return answer.Result, err
				})
		}},
		{"decrypt what was encrypted here", func() error {
			plaintext := []byte("a local plaintext")
			ciphertext, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, rsaPublic(rsaKey),
				plaintext, nil)
			if err != nil {
				return err
			}
			answer, err := client.Decrypt(ctx, rsaName, "", azkeys.KeyOperationParameters{
				Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP256), Value: ciphertext,
			}, nil)
			if err != nil {
				return err
			}
			return expect(bytes.Equal(answer.Result, plaintext), "the plaintext")
		}},
		{"wrap and unwrap a key", func() error {
			return roundTrip(bytes.Repeat([]byte{7}, 32),
				azkeys.EncryptionAlgorithmRSAOAEP,
				func(p azkeys.KeyOperationParameters) ([]byte, error) {
					answer, err := client.WrapKey(ctx, rsaName, "", p, nil)
					return answer.Result, err
				},
				func(p azkeys.KeyOperationParameters) ([]byte, error) {
					answer, err := client.UnwrapKey(ctx, rsaName, "", p, nil)
					return answer.Result, err
				})
		}},
		{"a missing key is not found", func() error {
			_, err := client.GetKey(ctx, prefix+"-missing", "", nil)
			return refused(err, http.StatusNotFound, "KeyNotFound", "")
		}},
		{"a backup of a key without the permission is refused", func() error {
			_, err := client.BackupKey(ctx, rsaName, nil)
			return refused(err, http.StatusForbidden, "Forbidden", "AccessDenied")
		}},
	})
}

func create(
	ctx context.Context, client *azkeys.Client, name string, wanted azkeys.CreateKeyParameters,
) (*azkeys.JSONWebKey, error) {
	created, err := client.CreateKey(ctx, name, wanted, nil)
	if err != nil {
		return nil, err
	}
	got, err := client.GetKey(ctx, name, created.Key.KID.Version(), nil)
	if err != nil {
		return nil, err
	}
	return got.Key, expect(*got.Key.Kty == *wanted.Kty && *got.Key.KID == *created.Key.KID &&
		got.Key.D == nil, "the public half of the key that was created")
}

// signed signs on the service and lets the service verify the true digest and refuse a false one.
func signed(
	ctx context.Context, client *azkeys.Client, name string, algorithm azkeys.SignatureAlgorithm,
	digest []byte,
) ([]byte, error) {
	answer, err := client.Sign(ctx, name, "", azkeys.SignParameters{
		Algorithm: to.Ptr(algorithm), Value: digest,
	}, nil)
	if err != nil {
		return nil, err
	}
	other := sha256.Sum256([]byte("another message"))
	for _, c := range []struct {
		digest []byte
		valid  bool
	}{{digest, true}, {other[:], false}} {
		verified, err := client.Verify(ctx, name, "", azkeys.VerifyParameters{
			Algorithm: to.Ptr(algorithm), Digest: c.digest, Signature: answer.Result,
		}, nil)
		if err != nil {
			return nil, err
		}
		if *verified.Value != c.valid {
			return nil, fmt.Errorf("expected the service to answer %t", c.valid)
		}
	}
	return answer.Result, nil
}

func roundTrip(
	plaintext []byte, algorithm azkeys.EncryptionAlgorithm,
	there, back func(azkeys.KeyOperationParameters) ([]byte, error),
) error {
	sealed, err := there(azkeys.KeyOperationParameters{
		Algorithm: to.Ptr(algorithm), Value: plaintext,
	})
	if err != nil {
		return err
	}
	opened, err := back(azkeys.KeyOperationParameters{Algorithm: to.Ptr(algorithm), Value: sealed})
	if err != nil {
		return err
	}
	return expect(!bytes.Equal(sealed, plaintext) && bytes.Equal(opened, plaintext), "the plaintext")
}

func rsaPublic(key *azkeys.JSONWebKey) *rsa.PublicKey {
	return &rsa.PublicKey{
		N: new(big.Int).SetBytes(key.N), E: int(new(big.Int).SetBytes(key.E).Int64()),
	}
}

func ecPublic(key *azkeys.JSONWebKey) *ecdsa.PublicKey {
	return &ecdsa.PublicKey{
		Curve: elliptic.P256(), X: new(big.Int).SetBytes(key.X), Y: new(big.Int).SetBytes(key.Y),
	}
}
