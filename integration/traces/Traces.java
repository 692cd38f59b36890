import java.io.IOException;

public class Traces {
    static class Handle implements AutoCloseable {
        public void close() throws IOException {
            throw new IOException("cannot close");
        }
    }

    static void inner() throws Exception {
        try (Handle handle = new Handle()) {
            Integer.parseInt("not a number");
        }
    }

    public static void main(String[] args) {
        System.err.println("10:00:00 INFO ready");
        for (int round = 1; round <= 2; round++) {
            try {
                inner();
            } catch (Exception cause) {
                new IllegalStateException("round " + round + " failed", cause).printStackTrace();
            }
        }
        System.err.println("10:00:01 INFO done");
        throw new UnsupportedOperationException("the end");
    }
}
