//! A store that fails when it is told to.

use async_trait::async_trait;
use periskop_core::observer::Pruned;
use periskop_core::storage::{Cursor, Storage, StorageError, Stored};
use periskop_core::{Delta, ReplicaId};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Without having done anything.
    Before,
    /// After it has done everything, as when an answer is lost.
    After,
}

/// A [`Storage`] around another that fails at the operations that a plan names.
///
/// The plan is asked at each operation, with its number from 0 on. So a test can fail each of
/// them in turn, and find out whether whoever uses a store loses anything.
pub struct Faulty<S, P> {
    inner: S,
    plan: P,
    operations: usize,
}

impl<S, P> Faulty<S, P>
where
    S: Storage,
    P: FnMut(usize) -> Option<Fault> + Send,
{
    /// `inner`, failing as `plan` says.
    pub fn new(inner: S, plan: P) -> Self {
        Self { inner, plan, operations: 0 }
    }

    /// How many operations there were, those that failed included.
    pub fn operations(&self) -> usize {
        self.operations
    }

    fn next(&mut self) -> Option<Fault> {
        let fault = (self.plan)(self.operations);
        self.operations += 1;
        fault
    }
}

/// Does an operation, or not, and tells the truth about it, or not.
macro_rules! faulty {
    ($store:ident, $operation:expr) => {
        match $store.next() {
            Some(Fault::Before) => Err(injected()),
            Some(Fault::After) => $operation.await.and_then(|_| Err(injected())),
            None => $operation.await,
        }
    };
}

#[async_trait]
impl<S, P> Storage for Faulty<S, P>
where
    S: Storage,
    P: FnMut(usize) -> Option<Fault> + Send,
{
    async fn identify(&mut self, fresh: ReplicaId) -> Result<ReplicaId, StorageError> {
        faulty!(self, self.inner.identify(fresh))
    }

    async fn load(&mut self) -> Result<Stored, StorageError> {
        faulty!(self, self.inner.load())
    }

    async fn changes_since(&mut self, cursor: &Cursor) -> Result<Option<Stored>, StorageError> {
        faulty!(self, self.inner.changes_since(cursor))
    }

    async fn commit(&mut self, delta: &Delta) -> Result<(), StorageError> {
        faulty!(self, self.inner.commit(delta))
    }

    async fn prune(&mut self, pruned: &Pruned) -> Result<(), StorageError> {
        faulty!(self, self.inner.prune(pruned))
    }

    async fn close(&mut self) -> Result<(), StorageError> {
        faulty!(self, self.inner.close())
    }
}

fn injected() -> StorageError {
    StorageError::Unavailable { store: "faulty".to_owned(), reason: "as planned".to_owned() }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::MemoryStorage;

    /// Repeats each operation until it succeeds, as the contract says one may.
    struct Persistent<S>(S);

    macro_rules! persist {
        ($operation:expr) => {
            loop {
                match $operation.await {
                    Err(error) if error.is_transient() => {}
                    done => return done,
                }
            }
        };
    }

    #[async_trait]
    impl<S: Storage> Storage for Persistent<S> {
        async fn identify(&mut self, fresh: ReplicaId) -> Result<ReplicaId, StorageError> {
            persist!(self.0.identify(fresh))
        }

        async fn load(&mut self) -> Result<Stored, StorageError> {
            persist!(self.0.load())
        }

        async fn commit(&mut self, delta: &Delta) -> Result<(), StorageError> {
            persist!(self.0.commit(delta))
        }

        async fn prune(&mut self, pruned: &Pruned) -> Result<(), StorageError> {
            persist!(self.0.prune(pruned))
        }
    }

    /// Each operation fails twice, once in either way, before it succeeds.
    fn twice(operation: usize) -> Option<Fault> {
        match operation % 3 {
            0 => Some(Fault::Before),
            1 => Some(Fault::After),
            _ => None,
        }
    }

    periskop_core::storage_conformance! {
        run: FutureExt::now_or_never,
        open: {
            let store = MemoryStorage::new();
            async move || {
                Box::new(Persistent(Faulty::new(store.clone(), twice))) as Box<dyn Storage>
            }
        },
    }

    #[test]
    fn an_operation_fails_before_or_after_its_effect() {
        let store = MemoryStorage::new();
        let one = ReplicaId::from_u64(1);
        for (fault, kept) in [(Fault::Before, 2), (Fault::After, 1)] {
            let mut inner = MemoryStorage::new();
            let mut faulty = Faulty::new(inner.clone(), |n| (n == 0).then_some(fault));
            faulty.identify(one).now_or_never().unwrap().unwrap_err();
            assert_eq!(faulty.operations(), 1);
            let two = ReplicaId::from_u64(2);
            let name = inner.identify(two).now_or_never().unwrap().unwrap();
            assert_eq!(name, ReplicaId::from_u64(kept), "{fault:?}");
        }
        drop(store);
    }
}
