//! `kubernetes_sd_configs`: the pods, services, endpoints, nodes and ingresses of a cluster.
//!
//! API: `GET /api/v1/pods` and so on, each listed once and then watched, a watch for each kind of
//! object and namespace. Of what comes only what labels are made of is kept (`objects`), in
//! `store`; groups are made of it by pure functions, one module for each role. Everything that
//! changes what is told of an object has it told anew (`index`).
//!
//! `kube` brings the way in (kubeconfig files, service accounts, credential plugins); watching is
//! our own, since what is bounded, told and kept here is not what its watcher bounds, tells and
//! keeps.

mod client;
mod config;
mod discovery;
mod endpoints;
mod endpointslice;
mod index;
mod ingress;
mod labels;
mod lines;
mod node;
mod objects;
mod pod;
mod selector;
mod service;
mod store;
mod watch;

use std::path::Path;

use periskop_core::config::Node;
use periskop_core::discovery::Discovery;

pub use config::{Access, Attach, KubernetesConfig, Role, Selector};

use crate::build::{BuildError, BuildOptions};
use crate::mechanism::Mechanism;

impl Mechanism for KubernetesConfig {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn effective(&self) -> Node {
        Node::mapping(self.effective_entries())
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.resolve(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let server = client::Server::new(self, options)?;
        Ok(Box::new(discovery::KubernetesDiscovery::new(&server, self)))
    }
}
