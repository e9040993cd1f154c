//! One payload of an exporter, parsed but not yet merged.

use crate::aggregate::{Incarnation, Since};
use crate::ids::{AggregationKey, ReplicaId, SourceId};
use crate::occurrence::{Occurrence, Severity};
use crate::time::Timestamp;

/// What one answer or push says: the good part of it, and what was wrong with the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Who counts, as the exporter calls itself; absent in old clients. At most 1 KiB.
    pub target_uuid: Option<String>,
    /// The errors that are new or different since this target's last answer, in payload order.
    /// One key may come twice.
    pub errors: Vec<ReportedError>,
    /// The errors that a memo knows to be byte-identical to the same source's last answer at the
    /// same target. They are still exported, and were not parsed.
    pub unchanged: Vec<AggregationKey>,
    /// How many errors were skipped because nothing can be counted for them.
    pub skipped: usize,
    /// What was wrong with parts of the payload, in words, bounded in number.
    pub warnings: Vec<Warning>,
}

impl Report {
    /// The name of the source that pushed it. Pushers that do not tell a `target_uuid` cannot be
    /// told apart, at any gateway.
    pub fn source_of_push(&self) -> &str {
        self.target_uuid.as_deref().unwrap_or("push:")
    }
}

/// Something that cost only itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Byte offset in the (decompressed) payload.
    pub offset: usize,
    /// What is wrong, for people.
    pub message: String,
}

/// One error of one payload.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportedError {
    /// The aggregation key.
    pub key: AggregationKey,
    /// How often it happened since `created_at`, in `0..2^53`. Not read where there are `incarnations`.
    pub total_count: u64,
    /// The aggregate's own severity.
    pub severity: Severity,
    /// When this life of the exporter's counter began: an identity, never judged. Go's zero time is absent.
    pub created_at: Option<Timestamp>,
    /// Who counted what, where the exporter is a gateway or a server.
    pub incarnations: Option<Vec<ReportedIncarnation>>,
    /// The newest occurrences that are new or different since this target's last answer, in
    /// payload order.
    pub occurrences: Vec<Occurrence>,
    /// The others: a memo knows each to be byte-identical to one that the same source's last answer
    /// at the same target had under the same key. They were not parsed, and were merged then.
    pub unchanged: Vec<UnchangedOccurrence>,
}

/// What an occurrence still says that has been read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnchangedOccurrence {
    /// The time as it came.
    pub time: Timestamp,
    /// Its own severity.
    pub severity: Severity,
}

/// One lifetime of one exporter's counter, as somebody else's state tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedIncarnation {
    /// The source's name, at most 1 KiB, not empty.
    pub source: String,
    /// Which life of it.
    pub life: ReportedLife,
    /// Its count.
    pub count: u64,
    /// The newest usable occurrence time that it reported.
    pub newest: Option<Timestamp>,
    /// When its count was found raised.
    pub risen: Option<Timestamp>,
    /// Since when nobody exports it there.
    pub gone: Option<Timestamp>,
}

impl ReportedIncarnation {
    /// Which incarnation it is.
    pub(crate) fn incarnation(&self) -> Incarnation {
        let since = match &self.life {
            ReportedLife::Since(created_at) => Since::CreatedAt(*created_at),
            ReportedLife::Reset { observer, n } => {
                Since::Reset { observer: ReplicaId::from_text(observer), n: *n }
            }
        };
        Incarnation { source: SourceId::of(&self.source), since }
    }
}

/// How a life of a counter is told from the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportedLife {
    /// By the exporter's own `created_at`.
    Since(Timestamp),
    /// Numbered by an observer.
    Reset {
        /// The observer's ReplicaId as text.
        observer: String,
        /// Its number.
        n: u32,
    },
}
