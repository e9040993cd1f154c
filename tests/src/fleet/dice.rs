//! Numbers that look random and are the same in every run.

/// A generator (SplitMix64) whose numbers depend on its seed alone, whatever the version of a
/// library: a run that is to be repeated must not roll other dice.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that are the same for the same numbers.
    pub fn of(parts: &[u64]) -> Self {
        let mut dice = Self(0x9e37_79b9_7f4a_7c15);
        for part in parts {
            dice.0 ^= *part;
            dice.0 = dice.roll();
        }
        dice
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 where there is none.
    pub fn below(&mut self, n: usize) -> usize {
        // The remainder fits where `n` does.
        usize::try_from(self.roll() % (n as u64).max(1)).unwrap_or_default()
    }

    /// Puts these in another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_numbers_give_the_same_dice_and_others_do_not() {
        let rolled = |parts: &[u64]| Dice::of(parts).roll();
        assert_eq!(rolled(&[1, 2]), rolled(&[1, 2]));
        assert_ne!(rolled(&[1, 2]), rolled(&[2, 1]));
        assert_ne!(rolled(&[1]), rolled(&[1, 0]));
    }

    #[test]
    fn shuffling_keeps_everything() {
        let mut items: Vec<usize> = (0..100).collect();
        Dice::of(&[7]).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
