//! The plug for service discovery.

use async_trait::async_trait;

use crate::target::TargetGroup;

/// Finds targets and tells what changed.
///
/// # Contract
///
/// - `next` waits until there is something to tell and returns whole groups. A group replaces the
///   group of the same [`TargetGroup::source`]; one without targets says that the source is gone.
///   Groups that are not mentioned stay as they are.
/// - The first answer holds everything that is known (a full sync), as soon as it is known; an
///   implementation that finds nothing says so with an empty list.
/// - An error changes nothing: the caller keeps the last groups (stale beats partial), counts the
///   failure, and calls `next` again. The implementation waits before it tries again.
/// - An implementation that will never have anything to tell again stays pending for ever; it
///   never spins.
/// - `next` is cancel-safe: dropping the future loses no group. Dropping the value ends whatever
///   it has begun.
/// - No policy: whatever might be wanted as a target is told, with `__meta_*` labels; choosing is
///   relabelling's work.
///
/// The suite `periskop_core::testing::discovery` (feature `testing`) checks an implementation.
#[async_trait]
pub trait Discovery: Send {
    /// Waits for the next change.
    ///
    /// # Errors
    ///
    /// [`DiscoveryError`] says what could not be found out, in words that name the mechanism's
    /// endpoint and never a credential.
    async fn next(&mut self) -> Result<Vec<TargetGroup>, DiscoveryError>;
}

/// A failed attempt to find targets. What was known stays valid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The backend could not be reached, or refused, or timed out.
    #[error("{endpoint}: {reason}")]
    Unreachable {
        /// What was asked, without credentials.
        endpoint: String,
        /// Why there is no answer.
        reason: String,
    },
    /// The backend answered something that cannot be used.
    #[error("{endpoint}: invalid answer: {reason}")]
    Invalid {
        /// What was asked, without credentials.
        endpoint: String,
        /// What is wrong with the answer.
        reason: String,
    },
}
