package vaultcore;

import static vaultcore.Step.expect;
import static vaultcore.Step.refused;
import static vaultcore.Step.same;
import static vaultcore.Step.step;

import com.azure.core.credential.TokenCredential;
import com.azure.security.keyvault.keys.KeyClient;
import com.azure.security.keyvault.keys.cryptography.CryptographyClient;
import com.azure.security.keyvault.keys.cryptography.CryptographyClientBuilder;
import com.azure.security.keyvault.keys.cryptography.models.EncryptionAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.KeyWrapAlgorithm;
import com.azure.security.keyvault.keys.cryptography.models.SignatureAlgorithm;
import com.azure.security.keyvault.keys.models.CreateEcKeyOptions;
import com.azure.security.keyvault.keys.models.CreateRsaKeyOptions;
import com.azure.security.keyvault.keys.models.KeyCurveName;
import com.azure.security.keyvault.keys.models.KeyType;
import com.azure.security.keyvault.keys.models.KeyVaultKey;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.MessageDigest;
import java.security.Signature;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.util.Arrays;
import javax.crypto.Cipher;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;

/** What an application does with keys. */
final class KeySteps {
    private static final byte[] MESSAGE = "a message".getBytes(StandardCharsets.UTF_8);
    private static final int DIGEST = 32;

    private final KeyClient client;
    private final TokenCredential credential;
    private final String prefix;
    private KeyVaultKey rsa;
    private KeyVaultKey ec;

    KeySteps(KeyClient client, TokenCredential credential, String prefix) {
        this.client = client;
        this.credential = credential;
        this.prefix = prefix;
    }

    void run() {
        step("create an RSA key", () -> {
            rsa = got(client.createRsaKey(
                    new CreateRsaKeyOptions(prefix + "-rsa").setKeySize(2048)));
            same(KeyType.RSA, rsa.getKeyType());
        });
        step("create an EC key", () -> {
            ec = got(client.createEcKey(
                    new CreateEcKeyOptions(prefix + "-ec").setCurveName(KeyCurveName.P_256)));
            same(KeyType.EC, ec.getKeyType());
        });
        step("sign and verify RS256", () -> {
            byte[] signature = signed(rsa, SignatureAlgorithm.RS256);
            expect(verifies("SHA256withRSA", null, rsa.getKey().toRsa(), signature),
                    "a true signature");
        });
        step("sign and verify PS256", () -> {
            byte[] signature = signed(rsa, SignatureAlgorithm.PS256);
            PSSParameterSpec pss = new PSSParameterSpec(
                    "SHA-256", "MGF1", MGF1ParameterSpec.SHA256, DIGEST, 1);
            expect(verifies("RSASSA-PSS", pss, rsa.getKey().toRsa(), signature),
                    "a true signature");
        });
        step("sign and verify ES256", () -> {
            byte[] signature = signed(ec, SignatureAlgorithm.ES256);
            same(2 * DIGEST, signature.length);
            expect(verifies("SHA256withECDSAinP1363Format", null, ec.getKey().toEc(), signature),
                    "a true signature");
        });
        step("encrypt and decrypt", () -> {
            byte[] plaintext = "a plaintext".getBytes(StandardCharsets.UTF_8);
            byte[] sealed = use(rsa).encrypt(EncryptionAlgorithm.RSA_OAEP_256, plaintext)
                    .getCipherText();
            same(plaintext,
                    use(rsa).decrypt(EncryptionAlgorithm.RSA_OAEP_256, sealed).getPlainText());
        });
        step("decrypt what was encrypted here", () -> {
            byte[] plaintext = "a local plaintext".getBytes(StandardCharsets.UTF_8);
            Cipher cipher = Cipher.getInstance("RSA/ECB/OAEPPadding");
            cipher.init(Cipher.ENCRYPT_MODE, rsa.getKey().toRsa().getPublic(),
                    new OAEPParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256,
                            PSource.PSpecified.DEFAULT));
            byte[] sealed = cipher.doFinal(plaintext);
            same(plaintext,
                    use(rsa).decrypt(EncryptionAlgorithm.RSA_OAEP_256, sealed).getPlainText());
        });
        step("wrap and unwrap a key", () -> {
            byte[] key = new byte[DIGEST];
            Arrays.fill(key, (byte) 7);
            byte[] wrapped = use(rsa).wrapKey(KeyWrapAlgorithm.RSA_OAEP, key).getEncryptedKey();
            same(key, use(rsa).unwrapKey(KeyWrapAlgorithm.RSA_OAEP, wrapped).getKey());
        });
        step("a missing key is not found",
                () -> refused(() -> client.getKey(prefix + "-missing"), 404, "KeyNotFound", null));
        step("a backup of a key without the permission is refused",
                () -> refused(() -> client.backupKey(rsa.getName()), 403, "Forbidden",
                        "AccessDenied"));
    }

    private KeyVaultKey got(KeyVaultKey created) {
        KeyVaultKey key = client.getKey(created.getName(), created.getProperties().getVersion());
        same(created.getId(), key.getId());
        expect(key.getKey().getD() == null, "no private half");
        return key;
    }

    private CryptographyClient use(KeyVaultKey key) {
        return new CryptographyClientBuilder().keyIdentifier(key.getId()).credential(credential)
                .buildClient();
    }

    /** Verifies on the service and not in the client, which has a public key to verify with. */
    private CryptographyClient remote(KeyVaultKey key) {
        return new CryptographyClientBuilder().keyIdentifier(key.getId()).credential(credential)
                .disableKeyCaching().buildClient();
    }

    /** Signs on the service; the service and the client accept the true digest only. */
    private byte[] signed(KeyVaultKey key, SignatureAlgorithm algorithm)
            throws GeneralSecurityException {
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(MESSAGE);
        byte[] other = MessageDigest.getInstance("SHA-256").digest(digest);
        byte[] signature = use(key).sign(algorithm, digest).getSignature();
        for (CryptographyClient each : new CryptographyClient[] {use(key), remote(key)}) {
            same(true, each.verify(algorithm, digest, signature).isValid());
            same(false, each.verify(algorithm, other, signature).isValid());
        }
        return signature;
    }

    private static boolean verifies(
            String algorithm, PSSParameterSpec pss, KeyPair pair, byte[] signature)
            throws GeneralSecurityException {
        Signature verifier = Signature.getInstance(algorithm);
        if (pss != null) {
            verifier.setParameter(pss);
        }
        verifier.initVerify(pair.getPublic());
        verifier.update(MESSAGE);
        return verifier.verify(signature);
    }
}
