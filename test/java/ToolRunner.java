import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the mains of Kafka's command-line tools, one after the other, in one JVM. Each line of the input is a command: the class and its
 * arguments, each in base64, with blanks between them. Each line of the output is the result of one: its exit code, and what it printed to the
 * standard output and to the standard error, in base64 after a letter.
 */
public class ToolRunner {
    /** Ends a tool that asks for the process to end. */
    private static final class Ended extends RuntimeException {
        private static final long serialVersionUID = 1L;

        Ended() {
            super("the tool has ended");
        }
    }

    /**
     * What a tool prints goes to the buffer of the moment: Scala keeps the stream that it found first. What it says of its own end, which it
     * takes for an error, does not count.
     */
    private static final class Switch extends OutputStream {
        private ByteArrayOutputStream buffer = new ByteArrayOutputStream();

        @Override
        public synchronized void write(int value) {
            if (code == null) buffer.write(value);
        }

        @Override
        public synchronized void write(byte[] bytes, int offset, int length) {
            if (code == null) buffer.write(bytes, offset, length);
        }

        synchronized String taken() {
            byte[] bytes = buffer.toByteArray();
            buffer = new ByteArrayOutputStream();
            return Base64.getEncoder().encodeToString(bytes);
        }
    }

    /** What the tool has asked to end with. */
    private static volatile Integer code;

    public static void main(String[] args) throws Exception {
        PrintStream results = System.out;
        Switch out = new Switch();
        Switch err = new Switch();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        Exit.setExitProcedure((status, message) -> {
            // A tool that catches everything asks again; what it asked for first counts.
            if (code == null) code = status;
            throw new Ended();
        });
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ");
            for (int at = 0; at < words.length; at++) {
                words[at] = new String(Base64.getDecoder().decode(words[at]), StandardCharsets.UTF_8);
            }
            code = null;
            run(words);
            results.println((code == null ? 0 : code) + " o" + out.taken() + " e" + err.taken());
            results.flush();
        }
    }

    private static void run(String[] words) throws Exception {
        String[] arguments = java.util.Arrays.copyOfRange(words, 1, words.length);
        try {
            Class.forName(words[0]).getMethod("main", String[].class).invoke(null, (Object) arguments);
        } catch (InvocationTargetException thrown) {
            if (thrown.getCause() instanceof Ended) return;
            thrown.getCause().printStackTrace();
            if (code == null) code = 1;
        }
    }
}
