//! The settings that all mechanisms of AWS have.

use std::path::Path;
use std::time::Duration;

use periskop_core::config::{At, Fields, Node, Problems, Secret};

use crate::api::Api;

/// Prometheus's default.
pub(crate) const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// Prometheus's default.
pub(crate) const PORT: u16 = 80;
/// Never more questions at once, whatever the settings say.
const CONCURRENCY_LIMIT: usize = 100;

/// Which part of AWS is asked, by whom, and how. Texts that are empty are not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsApi {
    /// Where the API is, instead of the region's address.
    pub endpoint: String,
    /// The region. Not set: that of the environment, of a profile, or of the machine.
    pub region: String,
    /// The name of a key; used if its secret is set too.
    pub access_key: String,
    /// The secret of the key.
    pub secret_key: Secret,
    /// The profile, in the files of AWS's command line tool, that has credentials.
    pub profile: String,
    /// A role that is assumed with the credentials.
    pub role_arn: String,
    /// What the role wants to be told, if it does.
    pub external_id: String,
    /// How the API is asked, how often, and the port of targets. Defaults: every minute, port 80.
    pub api: Api,
}

impl AwsApi {
    /// Takes the settings out of those of a mechanism.
    pub(crate) fn take(fields: &mut Fields<'_, '_>) -> Self {
        let api = Api::take(fields, REFRESH_INTERVAL, PORT);
        Self::with(fields, api)
    }

    /// Takes what is not HTTP's, how often, or the port.
    pub(crate) fn with(fields: &mut Fields<'_, '_>, api: Api) -> Self {
        let mut text = |name| fields.string(name).unwrap_or_default();
        Self {
            endpoint: text("endpoint"),
            region: text("region"),
            access_key: text("access_key"),
            profile: text("profile"),
            role_arn: text("role_arn"),
            external_id: text("external_id"),
            secret_key: fields.secret("secret_key").unwrap_or_default(),
            api,
        }
    }

    /// The settings as keys and values.
    pub(crate) fn effective(&self) -> Vec<(&'static str, Node)> {
        let mut entries =
            vec![("endpoint", Node::from(&self.endpoint)), ("region", Node::from(&self.region))];
        entries.extend(self.identity());
        entries.extend(self.api.effective());
        entries
    }

    /// Who asks, as keys and values: what is not set is not printed.
    pub(crate) fn identity(&self) -> Vec<(&'static str, Node)> {
        let mut entries = Vec::new();
        if !self.secret_key.is_empty() {
            entries.push(("secret_key", (&self.secret_key).into()));
        }
        let texts = [
            ("access_key", &self.access_key),
            ("profile", &self.profile),
            ("role_arn", &self.role_arn),
            ("external_id", &self.external_id),
        ];
        let set = texts.into_iter().filter(|(_, text)| !text.is_empty());
        entries.extend(set.map(|(name, text)| (name, text.into())));
        entries
    }

    /// Takes relative file names as relative to `dir`.
    pub(crate) fn resolve_paths(&mut self, dir: &Path) {
        self.api.resolve_paths(dir);
    }
}

/// One item of `filters`: which answers are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsFilter {
    /// The name, such as `tag:team`.
    pub name: String,
    /// Any of these.
    pub values: Vec<String>,
}

impl AwsFilter {
    /// Takes `filters`.
    pub(crate) fn take(fields: &mut Fields<'_, '_>) -> Vec<Self> {
        fields.list("filters", Self::decode)
    }

    fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let name = fields.string("name").unwrap_or_default();
        let values = fields.string_list("values").unwrap_or_default();
        fields.finish();
        Some(Self { name, values })
    }

    /// `filters` as it is printed.
    pub(crate) fn effective(filters: &[Self]) -> Node {
        Node::sequence(filters.iter().map(|filter| {
            let values = Node::sequence(&filter.values);
            Node::mapping([("name", Node::from(&filter.name)), ("values", values)])
        }))
    }
}

/// `clusters` and `request_concurrency`, of mechanisms that ask much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    /// The only ones looked at; none: all.
    pub names: Vec<String>,
    /// How many questions are asked at once, as written: 0 counts as 1, less and more than 100 as 100.
    pub request_concurrency: i64,
}

impl Clusters {
    /// Takes both.
    pub(crate) fn take(fields: &mut Fields<'_, '_>, concurrency: i64) -> Self {
        Self {
            names: fields.string_list("clusters").unwrap_or_default(),
            request_concurrency: fields.int("request_concurrency").unwrap_or(concurrency),
        }
    }

    /// How many questions are asked at once. Negative is as many as we ever ask; zero, which lets
    /// Prometheus wait for ever, is one.
    pub(crate) fn at_once(&self) -> usize {
        let limit = usize::try_from(self.request_concurrency).unwrap_or(CONCURRENCY_LIMIT);
        limit.clamp(1, CONCURRENCY_LIMIT)
    }

    /// The settings as keys and values.
    pub(crate) fn effective(&self) -> Vec<(&'static str, Node)> {
        let mut entries = Vec::new();
        if !self.names.is_empty() {
            entries.push(("clusters", Node::sequence(&self.names)));
        }
        if self.request_concurrency != 0 {
            entries.push(("request_concurrency", self.request_concurrency.into()));
        }
        entries
    }
}
