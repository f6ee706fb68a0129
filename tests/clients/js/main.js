// One round of the unmodified Azure SDK for JavaScript against a vaultcore service. Everything it
// knows about the service comes from the environment. It prints a line per step and ends with a
// status other than zero at the first difference.

import { randomBytes } from "node:crypto";
import { DefaultAzureCredential } from "@azure/identity";
import { KeyClient } from "@azure/keyvault-keys";
import { SecretClient } from "@azure/keyvault-secrets";
import { keySteps } from "./keys.js";
import { secretSteps } from "./secrets.js";

const url = process.env.VAULT_URL;
if (!url) {
  console.error("VAULT_URL is not set: take the environment from `vaultcore env`");
  process.exit(1);
}

const credential = new DefaultAzureCredential();
const prefix = `js-${randomBytes(4).toString("hex")}`;
try {
  await secretSteps(new SecretClient(url, credential), prefix);
  await keySteps(new KeyClient(url, credential), credential, prefix);
  console.log("done");
} catch (error) {
  console.error(`FAILED ${error.message}`);
  process.exit(1);
}
