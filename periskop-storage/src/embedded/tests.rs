//! What holds of this store beside the laws of every store.

use futures_util::FutureExt;
use periskop_core::storage::Storage;

use super::SledStorage;

periskop_core::storage_conformance! {
    run: FutureExt::now_or_never,
    open: {
        let folder = tempfile::tempdir().unwrap();
        async move || Box::new(SledStorage::open(folder.path()).unwrap()) as Box<dyn Storage>
    },
}
