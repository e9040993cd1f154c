//! `/api/v1/targets`, as Prometheus and `periskop-server` answer it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// The targets of all jobs.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Targets {
    /// Those that are scraped.
    pub active_targets: Vec<Active>,
    /// Those that relabelling dropped.
    pub dropped_targets: Vec<Dropped>,
}

/// A target that is scraped.
///
/// What it was before relabelling is not looked at: Prometheus 2.42 writes over it, since the memory
/// is used again for what comes out of relabelling. Of targets that are dropped it is as it was.
#[derive(Clone, Debug, Deserialize)]
pub struct Active {
    /// After relabelling.
    pub labels: Labels,
}

/// A target that is not.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dropped {
    /// Before relabelling.
    pub discovered_labels: Labels,
}

/// What one job shows.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Its targets that are scraped.
    pub active: Vec<Active>,
    /// And those that are not.
    pub dropped: Vec<Dropped>,
}

impl Targets {
    /// Reads an answer.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn read(body: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Answer {
            data: Targets,
        }
        let answer = serde_json::from_str(body).map(|answer: Answer| answer.data);
        answer.map_err(|e| format!("{e}: {body:.200}"))
    }

    /// The targets by the job that found them, whose label relabelling must leave alone.
    pub fn by_job(self) -> BTreeMap<String, Job> {
        let mut jobs = BTreeMap::<String, Job>::new();
        let job = |labels: &Labels| labels.get("job").cloned().unwrap_or_default();
        for target in self.active_targets {
            jobs.entry(job(&target.labels)).or_default().active.push(target);
        }
        for target in self.dropped_targets {
            jobs.entry(job(&target.discovered_labels)).or_default().dropped.push(target);
        }
        jobs
    }
}

impl Job {
    /// One line for each target, in order, so that two jobs can be compared. `shown` says how a
    /// label is shown, if it is.
    pub fn lines(&self, shown: impl Fn(&str, &str) -> Option<String>) -> Vec<String> {
        let show = |labels: &Labels| {
            let labels = labels.iter().filter(|(_, value)| !value.is_empty());
            labels.filter_map(|(name, value)| shown(name, value)).collect::<Vec<_>>().join(", ")
        };
        let active =
            self.active.iter().map(|target| format!("scraped {{{}}}", show(&target.labels)));
        let dropped = self.dropped.iter();
        let dropped = dropped.map(|t| format!("dropped {{{}}}", show(&t.discovered_labels)));
        let mut lines: Vec<String> = active.chain(dropped).collect();
        lines.sort();
        lines
    }
}
