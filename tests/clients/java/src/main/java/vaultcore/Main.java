package vaultcore;

import com.azure.core.credential.TokenCredential;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.azure.security.keyvault.keys.KeyClientBuilder;
import com.azure.security.keyvault.secrets.SecretClientBuilder;
import java.security.SecureRandom;
import java.util.HexFormat;

/**
 * One round of the unmodified Azure SDK for Java against a vaultcore service. Everything it knows
 * about the service comes from the environment. It prints a line per step and ends with a status
 * other than zero at the first difference.
 */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) {
        String url = System.getenv("VAULT_URL");
        if (url == null || url.isEmpty()) {
            System.err.println(
                    "VAULT_URL is not set: take the environment from `vaultcore env`");
            System.exit(1);
        }
        byte[] suffix = new byte[4];
        new SecureRandom().nextBytes(suffix);
        String prefix = "java-" + HexFormat.of().formatHex(suffix);
        TokenCredential credential = new DefaultAzureCredentialBuilder().build();
        try {
            new SecretSteps(
                            new SecretClientBuilder().vaultUrl(url).credential(credential)
                                    .buildClient(),
                            prefix)
                    .run();
            new KeySteps(
                            new KeyClientBuilder().vaultUrl(url).credential(credential)
                                    .buildClient(),
                            credential,
                            prefix)
                    .run();
        } catch (Step.FailedException failed) {
            System.err.println("FAILED " + failed.getMessage());
            System.exit(1);
        }
        System.out.println("done");
        // The event loops of the HTTP client are no daemons and would hold the process for a while.
        System.exit(0);
    }
}
