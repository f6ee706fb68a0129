package vaultcore;

import com.azure.core.exception.HttpResponseException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** The steps of a round: a line for each that holds, an exception for the first that does not. */
final class Step {
    private Step() {}

    /** What a step does. */
    interface Check {
        void run() throws Exception;
    }

    /** A step that did not hold. */
    static final class FailedException extends RuntimeException {
        private static final long serialVersionUID = 1L;

        FailedException(String message, Throwable cause) {
            super(message, cause);
        }
    }

    static void step(String name, Check check) {
        try {
            check.run();
        } catch (Exception cause) {
            throw new FailedException(name + ": " + cause, cause);
        }
        System.out.println("ok " + name);
    }

    static void expect(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException("expected " + what);
        }
    }

    static void same(Object expected, Object got) {
        expect(Objects.deepEquals(expected, got), expected + ", got " + got);
    }

    /** Checks that the service refuses with this status, code and inner code. */
    static void refused(Check call, int status, String code, String inner) throws Exception {
        try {
            call.run();
        } catch (HttpResponseException answer) {
            // The SDK has read the body; what it made of it is all that is left.
            Object body = answer.getValue();
            List<Object> seen = Arrays.asList(
                    answer.getResponse().getStatusCode(), member(body, "error", "code"),
                    member(body, "error", "innererror", "code"));
            same(Arrays.asList(status, code, inner), seen);
            return;
        }
        throw new IllegalStateException("expected a refusal with status " + status);
    }

    private static Object member(Object body, String... path) {
        Object value = body;
        for (String name : path) {
            value = value instanceof Map<?, ?> map ? map.get(name) : null;
        }
        return value;
    }
}
