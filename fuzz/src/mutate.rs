//! Inputs made of other inputs, for replays without libFuzzer: the same ones from the same seed.

/// An endless supply of mutated inputs.
#[derive(Debug)]
pub struct Mutator<'a> {
    seeds: &'a [Vec<u8>],
    state: u64,
}

/// Longest input. The parsers' own limits are tested elsewhere; here many inputs are worth more.
const LONGEST: usize = 16 * 1024;

/// Bytes that mean something to a parser.
const STRUCTURE: &[u8] = b"{}[]\",:-+0189eEuTZ.\\/ \n\t\0\xff&*!|>'#%$()~";

impl<'a> Mutator<'a> {
    /// Mutations of `seeds`.
    pub fn new(seeds: &'a [Vec<u8>], seed: u64) -> Self {
        Self { seeds, state: seed }
    }

    /// SplitMix64: small, and good enough to choose what to break.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.random() % n).unwrap_or(0)
    }

    fn any_seed(&mut self) -> &'a [u8] {
        let seed = self.below(self.seeds.len());
        self.seeds.get(seed).map_or(&[], |seed| &seed[..seed.len().min(LONGEST)])
    }

    /// A piece of some seed: what stands between two places of structure is a word that the format
    /// knows.
    fn piece(&mut self) -> &'a [u8] {
        let seed = self.any_seed();
        let from = self.below(seed.len());
        let length = 1 + self.below(24);
        &seed[from..(from + length).min(seed.len())]
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        let end = (at + 1 + self.below(32)).min(input.len());
        match self.below(8) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = STRUCTURE[self.below(STRUCTURE.len())],
            2 => drop(input.drain(at.min(end)..end)),
            3 => {
                let again = input[at.min(end)..end].to_vec();
                input.splice(end..end, again);
            }
            4 => {
                let piece = self.piece();
                input.splice(at..at, piece.iter().copied());
            }
            5 => {
                let piece = self.piece();
                input.splice(at.min(end)..end, piece.iter().copied());
            }
            6 => input.truncate(at),
            _ => {
                let other = self.any_seed();
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from.min(other.len())..]);
            }
        }
        input.truncate(LONGEST);
    }
}

impl Iterator for Mutator<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut input = self.any_seed().to_vec();
        for _ in 0..=self.below(8) {
            self.change(&mut input);
        }
        Some(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_breaks_the_same_things() {
        let seeds = [b"{\"a\": 1}".to_vec(), Vec::new()];
        let some = |seed| Mutator::new(&seeds, seed).take(1000).collect::<Vec<_>>();
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
    }

    #[test]
    fn nothing_to_begin_with_is_enough() {
        assert_eq!(Mutator::new(&[], 1).take(100).count(), 100);
    }
}
