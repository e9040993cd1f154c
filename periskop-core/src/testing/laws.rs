//! The laws of [`Merge`], for whoever implements it.
//!
//! Each function panics with both sides if its law is broken; call them from a property test:
//!
//! ```
//! use periskop_core::aggregate::Tally;
//! use periskop_core::testing::laws;
//! let tally = |count| Tally::new(count, None, None);
//! laws::commutative(&tally(1), &tally(2));
//! laws::associative(&tally(1), &tally(2), &tally(3));
//! laws::idempotent(&tally(1));
//! laws::tells_growth(&tally(1), &tally(2));
//! ```

use std::fmt::Debug;

use crate::merge::Merge;

/// `a ⊔ b == b ⊔ a`.
pub fn commutative<T: Merge + Clone + PartialEq + Debug>(a: &T, b: &T) {
    assert_eq!(joined(a, b), joined(b, a), "a ⊔ b == b ⊔ a");
}

/// `(a ⊔ b) ⊔ c == a ⊔ (b ⊔ c)`.
pub fn associative<T: Merge + Clone + PartialEq + Debug>(a: &T, b: &T, c: &T) {
    assert_eq!(joined(&joined(a, b), c), joined(a, &joined(b, c)), "(a ⊔ b) ⊔ c == a ⊔ (b ⊔ c)");
}

/// `a ⊔ a == a`, and nothing is said to have grown.
pub fn idempotent<T: Merge + Clone + PartialEq + Debug>(a: &T) {
    let mut twice = a.clone();
    let grew = twice.merge(a.clone());
    assert_eq!(&twice, a, "a ⊔ a == a");
    assert!(!grew, "joining what is known is no growth: {a:?}");
}

/// `merge` says that `a` grew exactly if `a ⊔ b != a`.
pub fn tells_growth<T: Merge + Clone + PartialEq + Debug>(a: &T, b: &T) {
    let mut joined = a.clone();
    let grew = joined.merge(b.clone());
    assert_eq!(grew, joined != *a, "growth is told: {a:?} ⊔ {b:?} = {joined:?}");
}

fn joined<T: Merge + Clone>(a: &T, b: &T) -> T {
    let mut joined = a.clone();
    joined.merge(b.clone());
    joined
}
