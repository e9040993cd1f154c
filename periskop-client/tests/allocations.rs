//! A storm of errors is no storm on the allocator.

use std::alloc::System;

use periskop_client::{Backtraces, Collector};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Debug, thiserror::Error)]
#[error("order {order} could not be placed")]
struct Checkout {
    order: u32,
    source: std::num::ParseIntError,
}

#[test]
fn once_an_error_storms_a_report_of_it_allocates_but_the_occurrence() {
    let collector = Collector::builder().backtraces(Backtraces::Never).build();
    let report = |order| {
        let source = "x".parse::<u8>().unwrap_err();
        collector.report(&Checkout { order, source });
    };
    (0..100).for_each(report);
    let region = Region::new(ALLOCATOR);
    (0..1000).for_each(report);
    let change = region.change();
    assert!(change.allocations <= 1000, "{change:?}");
    assert_eq!(change.reallocations, 0, "{change:?}");
    assert_eq!(change.bytes_allocated, change.bytes_deallocated, "{change:?}");
}
