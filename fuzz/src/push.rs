//! Hostile pushes to a gateway: none makes it panic, one that is repeated changes nothing, a sum
//! never falls, and what it exports reads back.

use std::collections::BTreeMap;

use periskop_core::wire::exporter::{Options, parse};
use periskop_core::{ReplicaId, Timestamp};
use periskop_pushgw::{Gateway, Settings};

/// Between one push and the next in the input.
const NEXT: &[u8] = b"\n--\n";

/// Noon of some day; each push comes an hour after the one before.
const BEGIN: i64 = 1_772_323_200_000_000;
const HOUR: i64 = 3_600_000_000;

/// See the [module](self).
///
/// # Panics
///
/// If a promise is broken.
pub fn run(input: &[u8]) {
    let settings = Settings { errors_limit: 20, pushers_limit: 20, ..Settings::default() };
    let gateway = Gateway::new(settings, ReplicaId::from_u64(1));
    let mut told = BTreeMap::new();
    for (n, body) in (0_i64..).zip(pushes(input)) {
        let now = Timestamp::from_micros(BEGIN + n * HOUR);
        let first = gateway.push(now, body, None);
        let before = gateway.export(now);
        match (first, gateway.push(now, body, None)) {
            (Ok(_), Ok(again)) => assert!(!again.is_news, "a push that is repeated is no news"),
            (Err(_), Err(_)) => {}
            (first, again) => panic!("{first:?}, then {again:?}"),
        }
        assert_eq!(gateway.export(now), before, "nor is it to anybody who reads");
        let report = parse(&before, now, &Options::default()).expect("what is exported reads back");
        assert_eq!(report.skipped, 0);
        assert!(report.errors.len() <= 20, "the limit of errors is kept");
        for error in report.errors {
            let last = told.insert(error.key.clone(), error.total_count).unwrap_or(0);
            assert!(last <= error.total_count, "the sum of {} fell", error.key);
        }
    }
}

fn pushes(input: &[u8]) -> Vec<&[u8]> {
    let mut rest = input;
    let mut all = Vec::new();
    while let Some(at) = rest.windows(NEXT.len()).position(|part| part == NEXT) {
        all.push(&rest[..at]);
        rest = &rest[at + NEXT.len()..];
        if all.len() == 16 {
            break;
        }
    }
    all.push(rest);
    all
}
