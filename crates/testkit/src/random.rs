//! Random numbers that can be repeated: a seed of one's own, or that of `RECTO_TEST_SEED`.

/// A small generator (splitmix64).
pub struct Random(u64);

impl Random {
    /// A generator. The seed is printed, so that a failed run can be repeated.
    pub fn new() -> Self {
        let given = std::env::var("RECTO_TEST_SEED")
            .ok()
            .and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            use std::hash::{BuildHasher as _, RandomState};
            RandomState::new().hash_one(0u8)
        });
        println!("RECTO_TEST_SEED={seed}");
        Self(seed)
    }

    /// Another generator, which depends on nothing but this one's seed and place.
    pub fn branch(&mut self) -> Self {
        Self(self.below(u64::MAX))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}
