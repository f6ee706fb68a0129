import assert from "node:assert/strict";
import { constants, createHash, createPublicKey, publicEncrypt, verify } from "node:crypto";
import { CryptographyClient } from "@azure/keyvault-keys";
import { refused, step } from "./step.js";

const MESSAGE = Buffer.from("a message");
const PSS = {
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
};

export async function keySteps(client, credential, prefix) {
  const use = (key) => new CryptographyClient(key, credential);
  let rsa, ec;

  await step("create an RSA key", async () => {
    rsa = await created(client, await client.createRsaKey(`${prefix}-rsa`, { keySize: 2048 }));
    assert.equal(rsa.keyType, "RSA");
  });
  await step("create an EC key", async () => {
    ec = await created(client, await client.createEcKey(`${prefix}-ec`, { curve: "P-256" }));
    assert.equal(ec.keyType, "EC");
  });
  await step("sign and verify RS256", async () => {
    const signature = await signed(use(rsa.id), "RS256");
    assert.ok(verify("sha256", MESSAGE, publicKey(rsa), signature));
    assert.ok((await use(rsa).verifyData("RS256", MESSAGE, signature)).result);
  });
  await step("sign and verify PS256", async () => {
    const signature = await signed(use(rsa.id), "PS256");
    assert.ok(verify("sha256", MESSAGE, { key: publicKey(rsa), ...PSS }, signature));
  });
  await step("sign and verify ES256", async () => {
    const signature = await signed(use(ec.id), "ES256");
    assert.equal(signature.length, 64);
    const key = { key: publicKey(ec), dsaEncoding: "ieee-p1363" };
    assert.ok(verify("sha256", MESSAGE, key, signature));
  });
  await step("encrypt and decrypt", async () => {
    const plaintext = Buffer.from("a plaintext");
    for (const algorithm of ["RSA-OAEP-256", "RSA-OAEP"]) {
      const sealed = await use(rsa.id).encrypt({ algorithm, plaintext });
      const opened = await use(rsa.id).decrypt({ algorithm, ciphertext: sealed.result });
      assert.deepEqual(Buffer.from(opened.result), plaintext);
    }
  });
  await step("decrypt what was encrypted here", async () => {
    const plaintext = Buffer.from("a local plaintext");
    const ciphertext = publicEncrypt({ key: publicKey(rsa), oaepHash: "sha256" }, plaintext);
    const opened = await use(rsa.id).decrypt({ algorithm: "RSA-OAEP-256", ciphertext });
    assert.deepEqual(Buffer.from(opened.result), plaintext);
  });
  await step("wrap and unwrap a key", async () => {
    const key = Buffer.alloc(32, 7);
    const wrapped = await use(rsa.id).wrapKey("RSA-OAEP", key);
    const unwrapped = await use(rsa.id).unwrapKey("RSA-OAEP", wrapped.result);
    assert.deepEqual(Buffer.from(unwrapped.result), key);
  });
  await step("a missing key is not found", () =>
    refused(() => client.getKey(`${prefix}-missing`), 404, "KeyNotFound"),
  );
  await step("a backup of a key without the permission is refused", () =>
    refused(() => client.backupKey(rsa.name), 403, "Forbidden", "AccessDenied"),
  );
}

async function created(client, key) {
  const got = await client.getKey(key.name, { version: key.properties.version });
  assert.equal(got.id, key.id);
  assert.equal(got.key.d, undefined);
  return got;
}

/** Signs on the service, and lets the service accept the true digest and refuse a false one. */
async function signed(cryptography, algorithm) {
  const digest = createHash("sha256").update(MESSAGE).digest();
  const other = createHash("sha256").update("another message").digest();
  const signature = (await cryptography.sign(algorithm, digest)).result;
  assert.equal((await cryptography.verify(algorithm, digest, signature)).result, true);
  assert.equal((await cryptography.verify(algorithm, other, signature)).result, false);
  return signature;
}

function publicKey(key) {
  const members = { kty: key.keyType };
  const names = key.keyType === "RSA" ? ["n", "e"] : ["x", "y"];
  for (const name of names) {
    members[name] = Buffer.from(key.key[name]).toString("base64url");
  }
  if (key.keyType === "EC") {
    members.crv = key.key.crv;
  }
  return createPublicKey({ key: members, format: "jwk" });
}
