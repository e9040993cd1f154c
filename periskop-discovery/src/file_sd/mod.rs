//! `file_sd_configs`: groups of targets from files, watched.

mod pattern;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use periskop_core::config::{At, Fields, Node, Problems, format_duration};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::TargetGroup;

pub use pattern::{InvalidPattern, Pattern};
pub use watch::FileDiscovery;

use crate::build::{BuildError, BuildOptions};
use crate::groups::{groups_from_json, groups_from_yaml};
use crate::mechanism::Mechanism;
use crate::polling::Found;

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// A hundred thousand targets with ten labels each are a fifth of it. Prometheus has no limit.
const FILE_LIMIT: u64 = 256 << 20;

const FILEPATH: &str = "__meta_filepath";

/// One item of `file_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileConfig {
    /// Which files.
    pub files: Vec<Pattern>,
    /// How often they are read even if nobody says that they have changed. Default 5m.
    pub refresh_interval: Duration,
}

impl FileConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let refresh_interval = fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL);
        let names = fields.string_list("files").unwrap_or_default();
        if names.is_empty() {
            let message = "file service discovery config must contain at least one path name";
            fields.problem("files", message);
        }
        let mut files = Vec::new();
        for name in names {
            match Pattern::parse(&name) {
                Ok(pattern) => files.push(pattern),
                Err(error) => fields.problem("files", error),
            }
        }
        fields.finish();
        Some(Self { files, refresh_interval })
    }
}

impl Mechanism for FileConfig {
    fn name(&self) -> &'static str {
        "file"
    }

    fn effective(&self) -> Node {
        let files = self.files.iter().map(|pattern| pattern.as_str());
        let mut entries = vec![("files", Node::sequence(files))];
        if !self.refresh_interval.is_zero() {
            entries.push(("refresh_interval", format_duration(self.refresh_interval).into()));
        }
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        for pattern in &mut self.files {
            pattern.resolve(dir);
        }
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let refresh_interval = options.interval(self.refresh_interval);
        Ok(Box::new(FileDiscovery::new(Self { refresh_interval, ..self.clone() })))
    }
}

/// What the files held when each could last be read.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, Vec<TargetGroup>>);

impl Files {
    /// Reads them all again. A file that cannot be read or parsed keeps its groups, one that is
    /// gone loses them. Blocks.
    fn read(&mut self, patterns: &[Pattern]) -> Found {
        let mut found = Found::default();
        let mut files = BTreeMap::new();
        let paths: BTreeSet<PathBuf> = patterns.iter().flat_map(Pattern::paths).collect();
        for path in paths {
            match read(&path) {
                Ok(groups) => {
                    files.insert(path, groups);
                }
                Err(reason) => {
                    found.errors.push(DiscoveryError::Invalid {
                        endpoint: path.display().to_string(),
                        reason,
                    });
                    if let Some(groups) = self.0.remove(&path) {
                        files.insert(path, groups);
                    }
                }
            }
        }
        self.0 = files;
        found.groups = self.0.values().flatten().cloned().collect();
        found
    }
}

fn read(path: &Path) -> Result<Vec<TargetGroup>, String> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes))
        .map_err(|e| e.to_string())?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(format!("larger than {FILE_LIMIT} bytes"));
    }
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let mut groups = if is_json {
        groups_from_json(&bytes)?
    } else {
        groups_from_yaml(std::str::from_utf8(&bytes).map_err(|e| e.to_string())?)?
    };
    let shown = path.display().to_string();
    for (i, group) in groups.iter_mut().enumerate() {
        group.source = format!("{shown}:{i}");
        group.labels.insert(FILEPATH, shown.as_str());
    }
    Ok(groups)
}
