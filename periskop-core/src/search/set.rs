//! Sets of errors.

use std::fmt;

/// A small number that stands for an error as long as a catalogue
/// lists it; later for another.
///
/// Numbers are dense: the largest is about as large as there are errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorNumber(pub u32);

impl ErrorNumber {
    /// As a place in a list.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of errors: a bit each.
#[derive(Clone, Default)]
pub struct ErrorSet(Vec<u64>);

const BITS: usize = u64::BITS as usize;

impl ErrorSet {
    /// No error.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds an error.
    pub fn insert(&mut self, number: ErrorNumber) {
        let (word, bit) = place(number);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= bit;
    }

    /// Takes an error out.
    pub fn remove(&mut self, number: ErrorNumber) {
        let (word, bit) = place(number);
        if let Some(bits) = self.0.get_mut(word) {
            *bits &= !bit;
        }
    }

    /// Whether an error is in it.
    pub fn contains(&self, number: ErrorNumber) -> bool {
        let (word, bit) = place(number);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Adds all of another set.
    pub fn unite(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(ours, theirs)| *ours |= theirs);
    }

    /// Keeps what another set has as well.
    pub fn intersect(&mut self, other: &Self) {
        self.0.truncate(other.0.len());
        self.0.iter_mut().zip(&other.0).for_each(|(ours, theirs)| *ours &= theirs);
    }

    /// Takes out all of another set.
    pub fn subtract(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(ours, theirs)| *ours &= !theirs);
    }

    /// A bit for each error, 64 in each word.
    pub(super) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }

    /// The errors in it, by number.
    pub fn iter(&self) -> impl Iterator<Item = ErrorNumber> {
        self.0.iter().enumerate().flat_map(|(word, bits)| {
            let mut rest = *bits;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                u32::try_from(word * BITS).ok().map(|first| ErrorNumber(first + bit))
            })
        })
    }
}

impl FromIterator<ErrorNumber> for ErrorSet {
    fn from_iter<I: IntoIterator<Item = ErrorNumber>>(numbers: I) -> Self {
        let mut set = Self::new();
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }
}

impl PartialEq for ErrorSet {
    fn eq(&self, other: &Self) -> bool {
        let common = self.0.len().min(other.0.len());
        let rest = self.0[common..].iter().chain(&other.0[common..]);
        self.0[..common] == other.0[..common] && rest.into_iter().all(|bits| *bits == 0)
    }
}

impl Eq for ErrorSet {}

impl fmt::Debug for ErrorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|number| number.0)).finish()
    }
}

const fn place(number: ErrorNumber) -> (usize, u64) {
    (number.index() / BITS, 1 << (number.index() % BITS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(numbers: &BTreeSet<u32>) -> ErrorSet {
        numbers.iter().map(|n| ErrorNumber(*n)).collect()
    }

    proptest! {
        #[test]
        fn it_does_what_any_set_does(
            a in prop::collection::btree_set(0_u32..300, 0..40),
            b in prop::collection::btree_set(0_u32..300, 0..40),
            one in 0_u32..300,
        ) {
            let (mut all, mut both, mut rest) = (set(&a), set(&a), set(&a));
            all.unite(&set(&b));
            both.intersect(&set(&b));
            rest.subtract(&set(&b));
            prop_assert_eq!(&all, &set(&(&a | &b)));
            prop_assert_eq!(&both, &set(&(&a & &b)));
            prop_assert_eq!(&rest, &set(&(&a - &b)));
            prop_assert_eq!(all.len(), (&a | &b).len());
            prop_assert_eq!(both.is_empty(), (&a & &b).is_empty());
            prop_assert_eq!(rest.contains(ErrorNumber(one)), a.contains(&one) && !b.contains(&one));
            rest.remove(ErrorNumber(one));
            prop_assert!(!rest.contains(ErrorNumber(one)));
            let listed: Vec<u32> = all.iter().map(|n| n.0).collect();
            prop_assert_eq!(listed, (&a | &b).into_iter().collect::<Vec<_>>());
        }
    }
}
