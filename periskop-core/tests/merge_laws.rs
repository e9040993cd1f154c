//! The laws of `Merge`, for every type that merges and for whole states.

use periskop_core::testing::{laws, state};
use periskop_core::{Observer, ReplicaId, Settings, State, Timestamp};
use proptest::prelude::*;

macro_rules! laws_of {
    ($($name:ident: $strategy:expr;)*) => { $(
        mod $name {
            use super::*;

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(10_000))]

                #[test]
                fn is_commutative(a in $strategy, b in $strategy) {
                    laws::commutative(&a, &b);
                }

                #[test]
                fn is_associative(a in $strategy, b in $strategy, c in $strategy) {
                    laws::associative(&a, &b, &c);
                }

                #[test]
                fn is_idempotent(a in $strategy) {
                    laws::idempotent(&a);
                }

                #[test]
                fn tells_growth(a in $strategy, b in $strategy) {
                    laws::tells_growth(&a, &b);
                }
            }
        }
    )* };
}

laws_of! {
    tally: state::tally();
    counts: state::counts();
    latest: state::latest();
    triage: state::triage();
    forgotten: state::forgotten();
    series: state::series();
    aggregate: state::aggregate();
    whole_state: state::state();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// A delta joined elsewhere has the effect of the whole.
    #[test]
    fn a_delta_carries_what_it_needs(a in state::state(), b in state::state()) {
        let before = a.clone();
        let mut joined = a;
        let delta = joined.join(b);
        let mut follower = before;
        follower.join(delta.into_state());
        prop_assert_eq!(follower, joined);
    }

    /// A store that joins every delta knows what the observer knows, once ages have settled.
    #[test]
    fn a_journal_of_deltas_is_the_state(
        steps in prop::collection::vec((0..900_u64, state::step()), 0..10)
    ) {
        let start = Timestamp::from_micros(1_772_323_200_000_000);
        let settings = Settings { occurrences_per_error: 4, ..Settings::default() };
        let mut observer = Observer::new(ReplicaId::from_u64(1), settings, start);
        let mut store = State::new(4);
        let mut now = start;
        for (seconds, step) in steps {
            now = now.plus(std::time::Duration::from_secs(seconds));
            store.join(state::take(&mut observer, now, &step).into_state());
        }
        store.join(observer.settle(now.plus(std::time::Duration::from_secs(7200))).into_state());
        prop_assert_eq!(&store, observer.state());
    }

    /// What was just merged is known: saying it again is no news.
    #[test]
    fn the_same_step_again_changes_nothing(
        before in prop::collection::vec(state::step(), 0..4),
        step in state::step().prop_filter("an action is a new one", |s| !matches!(s, state::Step::Act(..))),
    ) {
        let now = Timestamp::from_micros(1_772_323_200_000_000);
        let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
        for step in before {
            state::take(&mut observer, now, &step);
        }
        state::take(&mut observer, now, &step);
        let once = observer.state().clone();
        let again = state::take(&mut observer, now, &step);
        prop_assert!(again.is_empty() || has_untimed(&step), "{:?}", again);
        prop_assert!(observer.state() == &once || has_untimed(&step));
    }
}

/// Counters without `created_at` and times are taken at their word: 2, 1, 2, 1 are four lives.
/// Two of them in one payload fall and rise each time it is read.
fn has_untimed(step: &state::Step) -> bool {
    let (state::Step::Scrape(_, report) | state::Step::Push(report)) = step else { return false };
    report.errors.iter().any(|error| error.created_at.is_none())
}
