//! What merging means, once, for every type that merges.

/// Joins knowledge.
///
/// # Laws
///
/// With `a ⊔ b` for what `a.merge(b)` leaves in `a`:
///
/// - commutative: `a ⊔ b == b ⊔ a`
/// - associative: `(a ⊔ b) ⊔ c == a ⊔ (b ⊔ c)`
/// - idempotent: `a ⊔ a == a`
///
/// So nothing is ever lowered, it cannot fail, and every retry is harmless. Forgetting is not a
/// merge: see [`Observer::prune`](crate::Observer::prune).
///
/// The functions in [`testing::laws`](crate::testing::laws) (feature `testing`) check an
/// implementation.
pub trait Merge {
    /// Joins `other` into `self`; returns whether `self` grew.
    fn merge(&mut self, other: Self) -> bool;
}

/// The greater of the two wins; nothing is less than anything.
pub(crate) fn raise<T: Ord>(known: &mut Option<T>, told: Option<T>) -> bool {
    let grows = told > *known;
    if grows {
        *known = told;
    }
    grows
}

/// The smaller of the two wins; anything is less than nothing.
pub(crate) fn lower<T: Ord>(known: &mut Option<T>, told: Option<T>) -> bool {
    let shrinks = match (&*known, &told) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(known), Some(told)) => told < known,
    };
    if shrinks {
        *known = told;
    }
    shrinks
}
