//! What a mechanism of discovery is to a configuration, whichever it is.

use std::any::Any;
use std::fmt;
use std::path::Path;

use periskop_core::config::Node;
use periskop_core::discovery::Discovery;

use crate::build::{BuildError, BuildOptions};

/// The settings of one mechanism, such as one item of `http_sd_configs`.
pub trait Mechanism: fmt::Debug + Any + Send + Sync {
    /// The mechanism's name, as in its key: `dns` of `dns_sd_configs`.
    fn name(&self) -> &'static str;

    /// The settings as Prometheus would print them again: defaults filled in, secrets masked.
    fn effective(&self) -> Node;

    /// Takes relative file names as relative to `dir`, the directory of the configuration file.
    fn resolve_paths(&mut self, dir: &Path) {
        let _ = dir; // most name no files
    }

    /// Begins to look for targets. It is called within a Tokio runtime; nothing is looked for
    /// before the first [`Discovery::next`].
    ///
    /// # Errors
    ///
    /// [`BuildError`] where the settings cannot be put to work, such as a certificate that is not
    /// there. Other mechanisms can be used all the same.
    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError>;
}

/// One way to find the targets of a service, as configured. Two of them are equal where their
/// settings are, which is how a reload knows what may go on.
pub struct DiscoveryConfig(Box<dyn Comparable>);

impl DiscoveryConfig {
    /// A configuration of any mechanism, be it ours or another's.
    pub fn new(mechanism: impl Mechanism + Clone + PartialEq) -> Self {
        Self(Box::new(mechanism))
    }

    /// The mechanism's name, as in its key: `dns`, `file`, `http`, `static`, ….
    pub fn mechanism(&self) -> &'static str {
        self.0.name()
    }

    /// The settings, if they are of this mechanism.
    pub fn downcast_ref<M: Mechanism>(&self) -> Option<&M> {
        (self.0.as_ref() as &dyn Any).downcast_ref()
    }

    /// The settings as Prometheus would print them again: defaults filled in, secrets masked.
    pub fn effective(&self) -> Node {
        self.0.effective()
    }

    /// Takes relative file names as relative to `dir`, the directory of the configuration file.
    pub fn resolve_paths(&mut self, dir: &Path) {
        self.0.resolve_paths(dir);
    }

    /// Begins to look for targets. Must be called within a Tokio runtime; nothing is looked for
    /// before the first [`Discovery::next`].
    ///
    /// # Errors
    ///
    /// [`BuildError`] where the settings cannot be put to work, such as a certificate that is not
    /// there. Other mechanisms can be used all the same.
    pub fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        self.0.build(options)
    }
}

impl Clone for DiscoveryConfig {
    fn clone(&self) -> Self {
        Self(self.0.boxed())
    }
}

impl PartialEq for DiscoveryConfig {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(other.0.as_ref())
    }
}

impl Eq for DiscoveryConfig {}

impl fmt::Debug for DiscoveryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a box hides of a type, and a reload needs.
trait Comparable: Mechanism {
    fn boxed(&self) -> Box<dyn Comparable>;
    fn equals(&self, other: &dyn Any) -> bool;
}

impl<M: Mechanism + Clone + PartialEq> Comparable for M {
    fn boxed(&self) -> Box<dyn Comparable> {
        Box::new(self.clone())
    }

    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<M>() == Some(self)
    }
}
