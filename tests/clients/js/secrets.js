import assert from "node:assert/strict";
import { refused, step } from "./step.js";

export async function secretSteps(client, prefix) {
  const name = `${prefix}-secret`;
  const value = async (version) => (await client.getSecret(name, { version })).value;
  let first, second;

  await step("set a secret", async () => {
    // No content type: the last SDK for Node 20 takes one and does not send it.
    const set = await client.setSecret(name, "first", { tags: { round: "js" } });
    first = set.properties.version;
    assert.match(first, /^[0-9a-f]{32}$/);
    assert.equal(set.value, "first");
    assert.deepEqual({ ...set.properties.tags }, { round: "js" });
    assert.equal(set.properties.enabled, true);
  });
  await step("get it", async () => assert.equal(await value(), "first"));
  await step("set a second version", async () => {
    second = (await client.setSecret(name, "second")).properties.version;
    assert.notEqual(second, first);
  });
  await step("get the current one", async () => assert.equal(await value(), "second"));
  await step("get the first by version", async () => assert.equal(await value(first), "first"));
  await step("disable the first", async () => {
    const updated = await client.updateSecretProperties(name, first, { enabled: false });
    assert.equal(updated.enabled, false);
  });
  await step("the first is refused", () =>
    refused(() => client.getSecret(name, { version: first }), 403, "Forbidden", "SecretDisabled"),
  );
  await step("the second is not", async () => assert.equal(await value(), "second"));
  await step("list the versions", async () => {
    const enabled = {};
    for await (const item of client.listPropertiesOfSecretVersions(name)) {
      enabled[item.version] = item.enabled;
    }
    assert.deepEqual(enabled, { [first]: false, [second]: true });
  });
  await step("list over several pages", () => pages(client, prefix));
  await step("delete", async () => {
    const deleted = await (await client.beginDeleteSecret(name)).pollUntilDone();
    assert.ok(deleted.recoveryId);
    assert.ok(deleted.properties?.scheduledPurgeDate ?? deleted.scheduledPurgeDate);
    assert.equal((await client.getDeletedSecret(name)).name, name);
  });
  await step("a deleted one is not found", () =>
    refused(() => client.getSecret(name), 404, "SecretNotFound"),
  );
  await step("recover", async () => {
    await (await client.beginRecoverDeletedSecret(name)).pollUntilDone();
    assert.equal(await value(), "second");
  });
  await step("delete and purge", async () => {
    await (await client.beginDeleteSecret(name)).pollUntilDone();
    await client.purgeDeletedSecret(name);
    await refused(() => client.getDeletedSecret(name), 404, "SecretNotFound");
  });
  await step("a backup without the permission is refused", () =>
    refused(() => client.backupSecret(`${prefix}-page-00`), 403, "Forbidden", "AccessDenied"),
  );
}

async function pages(client, prefix) {
  const made = [];
  for (let i = 0; i < 30; i += 1) {
    const name = `${prefix}-page-${String(i).padStart(2, "0")}`;
    await client.setSecret(name, "x");
    made.push(name);
  }
  const seen = [];
  let count = 0;
  for await (const page of client.listPropertiesOfSecrets().byPage()) {
    count += 1;
    assert.ok(page.length <= 25, `expected at most 25 on a page, got ${page.length}`);
    for (const item of page) {
      assert.equal(item.version, undefined);
      seen.push(item.name);
    }
  }
  assert.deepEqual(seen.filter((name) => name.startsWith(`${prefix}-page-`)).sort(), made);
  assert.ok(count >= 2, `expected two pages or more, got ${count}`);
}
