//! What reading a payload costs of which nothing is known, and how often it allocates:
//! `cargo bench -p periskop-core --features testing --bench parse`.
//!
//! 20 errors of 10 occurrences, as a JVM reports them, 1.4 MB. The yardsticks are `serde_json`
//! reading the same body into owned values, and copying it.

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher, black_box};
use periskop_core::redact::Redactor;
use periskop_core::testing::jvm::Payloads;
use periskop_core::testing::wire::written;
use periskop_core::wire::exporter::{Memo, Options, parse, parse_changed};
use periskop_core::{ContentHash, Timestamp};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const NOW: Timestamp = Timestamp::from_micros(1_772_323_200_000_000);

fn main() {
    divan::main();
}

fn body() -> Vec<u8> {
    written(&Payloads::new().report(0, NOW))
}

fn each<O>(bencher: Bencher<'_, '_>, mut read: impl FnMut(&[u8]) -> O) {
    let body = body();
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| read(black_box(&body)));
}

#[divan::bench]
fn yardstick_copy(bencher: Bencher<'_, '_>) {
    each(bencher, <[u8]>::to_vec);
}

#[divan::bench]
fn yardstick_serde_json_owned(bencher: Bencher<'_, '_>) {
    each(bencher, |body| serde_json::from_slice::<serde_json::Value>(body).is_ok());
}

/// What names an occurrence without a uuid, and decides between two of one name.
#[divan::bench]
fn part_content_hash(bencher: Bencher<'_, '_>) {
    each(bencher, ContentHash::of);
}

#[divan::bench]
fn all_new(bencher: Bencher<'_, '_>) {
    let options = Options::default();
    each(bencher, |body| parse(body, NOW, &options));
}

#[divan::bench]
fn all_new_unmasked(bencher: Bencher<'_, '_>) {
    let options = Options { redactor: Redactor::off(), ..Options::default() };
    each(bencher, |body| parse(body, NOW, &options));
}

/// The same by whoever wants to know what is new next time.
#[divan::bench]
fn all_new_remembered(bencher: Bencher<'_, '_>) {
    let options = Options::default();
    each(bencher, |body| parse_changed(body, NOW, &options, &mut Memo::new(1)));
}
