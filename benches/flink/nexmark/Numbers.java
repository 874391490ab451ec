package nexmark;

/** The random numbers of java.util.Random, without what that does for several threads, which nearly doubles its cost. */
final class Numbers {
    private static final long MULTIPLIER = 0x5DEECE66DL;
    private static final long MASK = (1L << 48) - 1;

    private long seed;

    Numbers(long seed) {
        this.seed = (seed ^ MULTIPLIER) & MASK;
    }

    private int next(int bits) {
        seed = (seed * MULTIPLIER + 0xBL) & MASK;
        return (int) (seed >>> (48 - bits));
    }

    /** Any number of 32 bits. */
    int any() {
        return next(32);
    }

    /** A number from 0 to below bound. */
    int below(int bound) {
        if ((bound & -bound) == bound) {
            return (int) ((bound * (long) next(31)) >> 31);
        }
        while (true) {
            int bits = next(31);
            int value = bits % bound;
            if (bits - value + (bound - 1) >= 0) {
                return value;
            }
        }
    }

    /** A number from 0 to below 1. */
    double fraction() {
        return (((long) next(26) << 27) + next(27)) * 0x1.0p-53;
    }
}
