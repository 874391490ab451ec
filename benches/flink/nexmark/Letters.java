package nexmark;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/** Letters that fill events up to their size, in the way of workflows/nexmark/letters.rs, which says how they are made. */
final class Letters {
    private static final int SIX = 6;
    private static final int EIGHT = 8;
    private static final int BASE = 26;
    private static final int PAIR = BASE * BASE;
    private static final char[] PAIRS = new char[PAIR];
    private static final long A = 0x6161_6161_6161L;
    private static final VarHandle WORD =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    static {
        for (int number = 0; number < PAIR; number++) {
            PAIRS[number] = (char) (number % BASE + (number / BASE << 8));
        }
    }

    private Letters() {}

    /** So many letters, six from each random number. */
    static byte[] letters(int length, Numbers random) {
        byte[] text = new byte[length + EIGHT];
        for (int at = 0; at < length; at += SIX) {
            WORD.set(text, at, six(random.any()));
        }
        return Arrays.copyOf(text, length);
    }

    /** The lowest digit is the first byte. */
    private static long six(int number) {
        // The smallest number has no opposite one, as an int.
        long first = Math.abs((long) number);
        long second = first / PAIR;
        long third = second / PAIR;
        long digits = PAIRS[(int) (first - second * PAIR)]
                | (long) PAIRS[(int) (second - third * PAIR)] << 16
                | (long) PAIRS[(int) (third % PAIR)] << 32;
        long sign = number >> 31;
        return A + ((digits ^ sign) - sign);
    }
}
