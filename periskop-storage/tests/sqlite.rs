//! The laws of a store, held by one in a SQLite file.

use periskop_core::storage::Storage;
use periskop_storage::SqlStorage;

fn run(law: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(law);
}

mod alone {
    use super::*;

    periskop_core::storage_conformance! {
        run: run,
        open: {
            let folder = tempfile::tempdir().unwrap();
            async move || {
                let path = folder.path().join("a folder/periskop.db");
                Box::new(SqlStorage::sqlite(path)) as Box<dyn Storage>
            }
        },
    }
}

mod shared {
    use super::*;

    periskop_core::shared_storage_conformance! {
        run: run,
        open: {
            let folder = tempfile::tempdir().unwrap();
            async move || {
                let path = folder.path().join("periskop.db");
                Box::new(SqlStorage::sqlite(path)) as Box<dyn Storage>
            }
        },
    }
}
