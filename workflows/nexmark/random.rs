//! The random numbers of Java: what Beam's generator draws from, so that its events can be made again bit for bit.

/// A linear congruential generator of 48 bits, as the documentation of `java.util.Random` defines it.
/// Of the 64 bits that are kept, those above have no say in those below, nor in what is drawn.
pub struct Random(u64);

const MULTIPLIER: u64 = 0x5_DEEC_E66D;

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed ^ MULTIPLIER)
    }

    fn next(&mut self, bits: u32) -> u64 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(0xB);
        self.0 << 16 >> (64 - bits)
    }

    /// Any number of 32 bits.
    pub fn any(&mut self) -> i32 {
        self.next(32) as u32 as i32
    }

    /// A number from 0 to below `bound`, which is at least 1 and has at most 31 bits.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound.is_power_of_two() {
            return (bound * self.next(31)) >> 31;
        }
        loop {
            // Numbers of 32 bits are divided twice as fast.
            let (bits, bound) = (self.next(31) as u32, bound as u32);
            let value = bits % bound;
            // Of what is left over at the end of the range not all values are there.
            if bits - value + (bound - 1) < 1 << 31 {
                return value.into();
            }
        }
    }

    /// A number from 0 to below 1.
    pub fn fraction(&mut self) -> f64 {
        let high = self.next(26) << 27;
        (high + self.next(27)) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    /// The first numbers of `new Random(42)`, as its documentation gives the algorithm.
    #[test]
    fn it_is_that_of_java() {
        let mut random = Random::new(42);
        assert_eq!([random.any(), random.any()], [-1_170_105_035, 234_785_527]);
        let mut random = Random::new(42);
        assert_eq!([random.below(10), random.below(10), random.below(10)], [0, 3, 8]);
        assert!((Random::new(42).fraction() - 0.727_563_680_032_868_1).abs() < 1e-15);
    }
}
