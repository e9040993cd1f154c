//! What a start on what is stored costs, phase by phase.

use periskop_core::catalogue::Catalogue;
use periskop_core::search::MemoryIndex;
use periskop_core::{Observer, ReplicaId, Settings, Timestamp};
use periskop_storage::StoreSpec;

use super::clock::{Spent, Watch};
use super::raw;

/// Reads the files, all that is in them, and everything in the way of a server.
pub(super) async fn measure(name: &str, spec: &StoreSpec) {
    let file = raw::read_files(spec);
    if let Some((spent, bytes)) = file {
        println!("  {name}: reading {} MB of files: {spent}", bytes >> 20);
    }
    let (rows, bytes) = raw::read(spec).await;
    println!("  {name}: the library reads {} MB of occurrences and stacks: {rows}", bytes >> 20);

    let mut store = periskop_storage::open(spec);
    let watch = Watch::start();
    store.identify(ReplicaId::from_u64(1)).await.unwrap();
    let opening = watch.stop();
    let watch = Watch::start();
    let loaded = store.load().await.unwrap();
    let loading = watch.stop();
    store.close().await.unwrap();
    drop(store);

    let watch = Watch::start();
    let now = Timestamp::from_micros(1_772_409_600_000_000);
    let observer =
        Observer::restore(ReplicaId::from_u64(1), Settings::default(), now, loaded.state);
    let restoring = watch.stop();

    let watch = Watch::start();
    let mut catalogue = Catalogue::new(MemoryIndex::new());
    catalogue.take_all(observer.state());
    let listing = watch.stop();

    // A server is ready by now.
    let watch = Watch::start();
    while catalogue.index_some(observer.state(), 1_000) {}
    let indexing = watch.stop();

    println!("  {name}: start on {} errors", catalogue.len());
    println!("    open: {opening}\n    load: {loading}");
    println!("    restore: {restoring}\n    list: {listing}");
    let all = [opening, loading, restoring, listing].into_iter().sum::<Spent>();
    let times = |yardstick: Spent| loading.wall / yardstick.wall;
    println!("    all: {all}; load / the library's reading: {:.1}", times(rows));
    println!("    index, afterwards: {indexing}");
    if let Some((spent, _)) = file {
        println!("    load / reading the files: {:.1}", times(spent));
    }
}
