//! What people look for, in what a fleet says.

use super::dice::Dice;

/// A query of one of the kinds that people ask: words that all, some, one or no error has, ids, parts
/// of URLs, fields.
pub(super) fn query(dice: &mut Dice) -> String {
    let kind = dice.below(KINDS);
    let number = dice.below(1_000_000_000);
    match kind {
        0 => "declined".to_owned(),
        1 => "payments.internal".to_owned(),
        2 => format!("Failure{}", number % 500),
        3 => format!("order {}", number / 10_000),
        4 => format!("{number:032x}"),
        5 => format!("203.0.113.{}", number % 250),
        6 => format!("Component{}.handleRequest{}", number % 4_285, number % 13),
        7 => "/api/v2/orders".to_owned(),
        8 => format!("orders/{}", number / 100_000),
        9 => "NoSuchThingAnywhere".to_owned(),
        10 => format!("class:Failure{} count:>100", number % 500),
        11 => format!("\"card declined\" -Failure{}", number % 500),
        12 => format!("{}", number % 1000),
        _ => "timed out last_seen:<1h".to_owned(),
    }
}

const KINDS: usize = 14;

/// One of the queries that are a word and nothing else.
pub fn word(dice: &mut Dice) -> String {
    loop {
        let query = query(dice);
        if !query.contains([':', '"', ' ']) {
            return query;
        }
    }
}

#[cfg(test)]
mod tests {
    use periskop_core::query::Query;

    use super::*;

    #[test]
    fn every_query_is_one() {
        let mut dice = Dice::of(&[1]);
        for _ in 0..200 {
            let query = query(&mut dice);
            assert!(Query::parse(&query).is_ok(), "{query}");
            assert!(!word(&mut dice).contains(' '));
        }
    }
}
