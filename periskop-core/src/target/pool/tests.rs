mod history;

use super::*;

fn group(source: &str, addresses: &[&str]) -> TargetGroup {
    TargetGroup {
        source: source.to_owned(),
        targets: addresses.iter().map(|a| Labels::from([("__address__", *a)])).collect(),
        labels: Labels::new(),
    }
}

fn spec(providers: &[ProviderId]) -> ServiceSpec {
    ServiceSpec::new("api", providers.to_vec())
}

fn pool() -> Pool {
    Pool::new(spec(&[0, 1]))
}

fn addresses(pool: &Pool) -> Vec<String> {
    let mut all: Vec<_> =
        pool.targets().map(|t| t.labels().get("__address__").to_owned()).collect();
    all.sort();
    all
}

/// How many were added, how many removed.
fn counts(change: &PoolChange) -> (usize, usize) {
    (change.added.len(), change.removed.len())
}

#[test]
fn a_group_replaces_the_one_of_its_source_and_leaves_the_others() {
    let mut pool = pool();
    let change = pool.update(0, vec![group("x", &["a", "b"]), group("y", &["c"])]);
    assert_eq!(counts(&change), (3, 0));
    let change = pool.update(0, vec![group("x", &["b", "d"])]);
    assert_eq!(counts(&change), (1, 1));
    assert_eq!(change.removed[0].labels().get("__address__"), "a");
    assert_eq!(addresses(&pool), ["b", "c", "d"]);
    let change = pool.update(1, vec![group("x", &["e"])]);
    assert_eq!(counts(&change), (1, 0), "another provider's source is another source");
    let change = pool.update(0, vec![group("x", &[])]);
    assert_eq!(counts(&change), (0, 2));
    assert_eq!(addresses(&pool), ["c", "e"]);
}

#[test]
fn a_target_that_two_groups_name_is_one_until_both_forget_it() {
    let mut pool = pool();
    assert_eq!(counts(&pool.update(0, vec![group("x", &["a", "a"])])), (1, 0));
    assert_eq!(counts(&pool.update(1, vec![group("y", &["a"])])), (0, 0));
    assert_eq!(counts(&pool.update(0, vec![group("x", &[])])), (0, 0));
    assert_eq!(addresses(&pool), ["a"]);
    assert_eq!(counts(&pool.update(1, vec![group("y", &[])])), (0, 1));
}

#[test]
fn a_target_that_moves_from_one_group_to_another_stays() {
    let mut pool = pool();
    pool.update(0, vec![group("x", &["a"])]);
    let change = pool.update(0, vec![group("x", &[]), group("y", &["a"])]);
    assert_eq!(counts(&change), (0, 0));
}

#[test]
fn new_meta_labels_are_shown_and_change_nothing_else() {
    let mut pool = pool();
    pool.update(0, vec![group("x", &["a"])]);
    let mut told = group("x", &["a"]);
    told.labels.insert("__meta_dc", "north");
    assert_eq!(counts(&pool.update(0, vec![told])), (0, 0));
    let target = pool.targets().next().unwrap();
    assert_eq!(target.discovered().get("__meta_dc"), "north");
}

#[test]
fn a_target_that_several_groups_describe_is_shown_as_one_of_those_that_still_do() {
    let told = |source: &str, dc: &str| {
        let mut told = group(source, &["a"]);
        told.labels.insert("__meta_dc", dc);
        told
    };
    let shown =
        |pool: &Pool| pool.targets().next().unwrap().discovered().get("__meta_dc").to_owned();
    let mut pool = pool();
    pool.update(0, vec![told("x", "2"), told("y", "1"), told("z", "1")]);
    assert_eq!(shown(&pool), "1", "the first in order, whoever told it");
    pool.update(0, vec![group("y", &[])]);
    assert_eq!(shown(&pool), "1");
    assert_eq!(counts(&pool.update(0, vec![group("z", &[])])), (0, 0));
    assert_eq!(shown(&pool), "2");
    assert_eq!(counts(&pool.update(0, vec![group("x", &[])])), (0, 1));
}

#[test]
fn what_cannot_be_scraped_costs_itself_and_is_shown_with_its_reason() {
    let mut pool = pool();
    let change = pool.update(0, vec![group("x", &["a", "http://b", "c"])]);
    assert_eq!(counts(&change), (2, 0));
    let dropped: Vec<_> = pool.dropped().collect();
    assert_eq!(dropped.len(), pool.dropped_count());
    assert_eq!(dropped[0].discovered.get("__address__"), "http://b");
    assert_eq!(dropped[0].error.unwrap().to_string(), r#""http://b" is not a valid hostname"#);
}

#[test]
fn above_the_limit_the_whole_pool_is_failed_until_it_fits_again() {
    let mut pool = Pool::new(ServiceSpec { target_limit: 2, ..spec(&[0]) });
    pool.update(0, vec![group("x", &["a", "b"])]);
    assert_eq!(pool.over_limit(), None);
    pool.update(0, vec![group("y", &["c"])]);
    assert_eq!(
        pool.over_limit().unwrap().to_string(),
        "target_limit exceeded (number of targets: 3, limit: 2)"
    );
    pool.update(0, vec![group("y", &["a"])]);
    assert_eq!(pool.over_limit(), None, "the same target twice is one");
}

#[test]
fn a_reload_keeps_what_comes_out_the_same() {
    let mut pool = pool();
    pool.update(0, vec![group("x", &["a"])]);
    let limited = ServiceSpec { target_limit: 5, ..spec(&[0, 1]) };
    assert_eq!(counts(&pool.reconfigure(limited)), (0, 0));
    let mut elsewhere = spec(&[0, 1]);
    elsewhere.scrape.path = "/errors".to_owned();
    assert_eq!(counts(&pool.reconfigure(elsewhere)), (1, 1));
}

#[test]
fn a_fleet_that_is_found_in_another_way_does_not_depart_in_between() {
    let mut pool = pool();
    pool.update(0, vec![group("x", &["a", "b"])]);
    assert_eq!(counts(&pool.reconfigure(spec(&[1, 2]))), (0, 0));
    assert_eq!(counts(&pool.update(0, vec![group("x", &[])])), (0, 0), "it is gone");
    assert_eq!(counts(&pool.update(2, vec![group("y", &["a"])])), (0, 1));
    assert_eq!(addresses(&pool), ["a"]);
}

#[test]
fn the_targets_of_a_provider_that_nothing_replaces_depart_at_once() {
    let mut pool = pool();
    pool.update(0, vec![group("x", &["a"])]);
    assert_eq!(counts(&pool.reconfigure(spec(&[1]))), (0, 1));
}
