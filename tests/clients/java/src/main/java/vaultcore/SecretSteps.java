package vaultcore;

import static vaultcore.Step.expect;
import static vaultcore.Step.refused;
import static vaultcore.Step.same;
import static vaultcore.Step.step;

import com.azure.core.http.rest.PagedResponse;
import com.azure.security.keyvault.secrets.SecretClient;
import com.azure.security.keyvault.secrets.models.DeletedSecret;
import com.azure.security.keyvault.secrets.models.KeyVaultSecret;
import com.azure.security.keyvault.secrets.models.SecretProperties;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What an application does with secrets. */
final class SecretSteps {
    private static final int MADE = 30;
    private static final int PAGE = 25;

    private final SecretClient client;
    private final String prefix;
    private final String name;
    private String first;
    private String second;

    SecretSteps(SecretClient client, String prefix) {
        this.client = client;
        this.prefix = prefix;
        this.name = prefix + "-secret";
    }

    void run() {
        step("set a secret", this::setFirst);
        step("get it", () -> same("first", value("")));
        step("set a second version", () -> {
            second = client.setSecret(name, "second").getProperties().getVersion();
            expect(!second.equals(first), "a version of its own");
        });
        step("get the current one", () -> same("second", value("")));
        step("get the first by version", () -> same("first", value(first)));
        step("disable the first", () -> {
            SecretProperties properties = client.getSecret(name, first).getProperties();
            same(false, client.updateSecretProperties(properties.setEnabled(false)).isEnabled());
        });
        step("the first is refused",
                () -> refused(() -> client.getSecret(name, first), 403, "Forbidden",
                        "SecretDisabled"));
        step("the second is not", () -> same("second", value("")));
        step("list the versions", () -> {
            Map<String, Boolean> enabled = new HashMap<>();
            client.listPropertiesOfSecretVersions(name)
                    .forEach(item -> enabled.put(item.getVersion(), item.isEnabled()));
            same(Map.of(first, false, second, true), enabled);
        });
        step("list over several pages", this::pages);
        step("delete", () -> {
            DeletedSecret deleted =
                    client.beginDeleteSecret(name).waitForCompletion().getValue();
            expect(deleted.getRecoveryId() != null && deleted.getScheduledPurgeDate() != null,
                    "a recovery id and a purge date");
            same(name, client.getDeletedSecret(name).getName());
        });
        step("a deleted one is not found",
                () -> refused(() -> client.getSecret(name), 404, "SecretNotFound", null));
        step("recover", () -> {
            client.beginRecoverDeletedSecret(name).waitForCompletion();
            same("second", value(""));
        });
        step("delete and purge", () -> {
            client.beginDeleteSecret(name).waitForCompletion();
            client.purgeDeletedSecret(name);
            refused(() -> client.getDeletedSecret(name), 404, "SecretNotFound", null);
        });
        step("a backup without the permission is refused",
                () -> refused(() -> client.backupSecret(prefix + "-page-00"), 403, "Forbidden",
                        "AccessDenied"));
    }

    private void setFirst() {
        KeyVaultSecret wanted = new KeyVaultSecret(name, "first");
        wanted.setProperties(new SecretProperties().setContentType("text/plain")
                .setTags(Map.of("round", "java")));
        KeyVaultSecret set = client.setSecret(wanted);
        first = set.getProperties().getVersion();
        expect(first.matches("[0-9a-f]{32}"), "a version of 32 hexadecimal digits");
        same("first", set.getValue());
        same("text/plain", set.getProperties().getContentType());
        same(Map.of("round", "java"), set.getProperties().getTags());
        same(true, set.getProperties().isEnabled());
    }

    private String value(String version) {
        return client.getSecret(name, version).getValue();
    }

    private void pages() {
        List<String> made = new ArrayList<>();
        for (int i = 0; i < MADE; i++) {
            made.add(String.format("%s-page-%02d", prefix, i));
            client.setSecret(made.get(i), "x");
        }
        List<String> seen = new ArrayList<>();
        int count = 0;
        for (PagedResponse<SecretProperties> page
                : client.listPropertiesOfSecrets().iterableByPage()) {
            count++;
            expect(page.getValue().size() <= PAGE, "at most 25 on a page");
            for (SecretProperties item : page.getValue()) {
                expect(item.getVersion() == null, "identifiers without a version");
                if (item.getName().startsWith(prefix + "-page-")) {
                    seen.add(item.getName());
                }
            }
        }
        same(made, seen.stream().sorted().toList());
        expect(count >= 2, "two pages or more, got " + count);
    }
}
