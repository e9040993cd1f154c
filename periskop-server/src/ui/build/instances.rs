//! Who counted how much of an error.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use periskop_core::target::Labels;
use periskop_core::view::ErrorView;

use super::super::text::Text;
use super::super::view::{Health, InstanceNote, InstanceRow};
use super::{Knowledge, LONGEST_LINE, labels};

/// Instances or groups that are shown.
const MOST_ROWS: usize = 200;

/// Labels by which counts can be grouped.
const MOST_LABELS: usize = 16;

/// The label that names an instance.
const INSTANCE: &str = "instance";

/// Counts of an error, by instance or by the value of a label.
pub(super) struct Counts {
    /// Most first.
    pub(super) rows: Vec<InstanceRow>,
    /// How many rows there were beyond these.
    pub(super) further: usize,
    /// Instances that are scraped and report the error.
    pub(super) reporting: usize,
    /// Labels by which the counts can be grouped.
    pub(super) labels: Vec<Text>,
}

/// Who counts: one for each set of labels, since an instance that restarts under another uuid is
/// still the same to whoever looks for it.
#[derive(Default)]
struct Counted {
    count: u64,
    exported: bool,
    gone: bool,
    health: Option<Health>,
}

impl Counted {
    fn is_reporting(&self) -> bool {
        self.health.is_some() && self.exported
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Who<'a> {
    Labelled(&'a Labels),
    Named(&'a str),
}

impl Who<'_> {
    fn label(&self, name: &str) -> &str {
        match self {
            Self::Labelled(labels) => labels.get(name),
            Self::Named(_) => "",
        }
    }
}

/// Counts the error by the label `by`, or by instance.
pub(super) fn count(knowledge: Knowledge<'_>, error: ErrorView<'_>, by: Option<&str>) -> Counts {
    let sources = error.sources();
    let mut by_who: BTreeMap<Who<'_>, Counted> = BTreeMap::new();
    let instances = knowledge.fleet.instances(error.service());
    for instance in &instances {
        by_who.entry(Who::Labelled(&instance.labels)).or_default().health = Some(instance.health);
    }
    for view in &sources {
        let name = view.source.map_or("(unknown)", |source| source.name());
        let labels = view.source.and_then(|source| source.labels()).filter(|l| !l.is_empty());
        let counted = by_who.entry(labels.map_or(Who::Named(name), Who::Labelled)).or_default();
        counted.count = counted.count.saturating_add(view.count);
        counted.exported |= view.exported;
        counted.gone |= view.gone.is_some();
    }
    let reporting = by_who.values().filter(|counted| counted.is_reporting()).count();
    let offered = offered(by_who.keys());
    let mut rows = match by.filter(|by| *by != INSTANCE) {
        Some(label) => groups(&by_who, label),
        None => by_who.into_iter().map(|(who, counted)| instance(&who, &counted)).collect(),
    };
    let most = rows.iter().map(|row| row.count).max().unwrap_or(0).max(1);
    for row in &mut rows {
        let share = u128::from(row.count) * 100 / u128::from(most);
        row.share = u8::try_from(share).unwrap_or(100);
    }
    rows.sort_by_key(|row| Reverse(row.count));
    let further = rows.len().saturating_sub(MOST_ROWS);
    rows.truncate(MOST_ROWS);
    Counts { rows, further, reporting, labels: offered }
}

fn offered<'a>(all: impl Iterator<Item = &'a Who<'a>>) -> Vec<Text> {
    let mut names = BTreeSet::new();
    for who in all {
        if let Who::Labelled(labels) = who {
            names.extend(labels.iter().map(|(name, _)| name).filter(|name| *name != INSTANCE));
        }
    }
    names.into_iter().take(MOST_LABELS).map(Text::new).collect()
}

fn groups(by_who: &BTreeMap<Who<'_>, Counted>, label: &str) -> Vec<InstanceRow> {
    let mut groups: BTreeMap<&str, InstanceRow> = BTreeMap::new();
    for (who, counted) in by_who {
        let value = who.label(label);
        let row = groups.entry(value).or_insert_with(|| InstanceRow {
            name: Text::clip(if value.is_empty() { "(none)" } else { value }, LONGEST_LINE),
            labels: Vec::new(),
            count: 0,
            share: 0,
            note: InstanceNote::Group { reporting: 0, known: 0 },
        });
        row.count = row.count.saturating_add(counted.count);
        if let InstanceNote::Group { reporting, known } = &mut row.note {
            *reporting += usize::from(counted.is_reporting());
            *known += usize::from(counted.health.is_some());
        }
    }
    groups.into_values().collect()
}

fn instance(who: &Who<'_>, counted: &Counted) -> InstanceRow {
    let (name, labels) = match who {
        Who::Named(name) => (*name, Vec::new()),
        Who::Labelled(all) => {
            let mut rest = (*all).clone();
            rest.remove(INSTANCE);
            let name = all.get(INSTANCE);
            (if name.is_empty() { "(no instance label)" } else { name }, labels(&rest))
        }
    };
    InstanceRow {
        name: Text::clip(name, LONGEST_LINE),
        labels,
        count: counted.count,
        share: 0,
        note: match counted.health {
            Some(Health::Down) => InstanceNote::Down,
            Some(_) if !counted.exported => InstanceNote::None,
            None if counted.gone => InstanceNote::Gone,
            _ => InstanceNote::Reports,
        },
    }
}
