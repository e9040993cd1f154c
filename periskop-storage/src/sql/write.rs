//! A delta becomes rows: a bounded number of statements, whatever has changed.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use periskop_core::Delta;
use periskop_core::aggregate::{Bucket, Incarnation, Since, Triage};
use periskop_core::ids::{ErrorDigest, digest};
use periskop_core::texts::OccurrenceView;
use periskop_core::wire::state::{
    Documents, ErrorParts, ServiceParts, StackName, Summary, errors, escape, labels_document,
    services, sources, stack_document, watermark_document,
};
use periskop_core::{ReplicaId, ServiceName, Severity, Timestamp};

use super::dialect::{Dialect, Kind, Row, Statement, Syntax, Value, filled};
use super::lease::Lease;
use super::schema::{
    ACTIONS, BUCKETS, COUNTS, ERRORS, FORGOTTEN, OCCURRENCES, SERVICE_OBSERVERS, SERVICES, SOURCES,
    STACKS, TARGETS,
};
use super::upsert::Batch;
use super::{Transaction, Trouble, Work, WorkKind};

/// As many things are named in one condition.
pub(super) const NAMED_AT_ONCE: usize = 96;

/// As many errors are named in one list.
const LISTED_AT_ONCE: usize = 1_024;

/// Of so many buckets that are written one has what is older than its series keeps removed: so a
/// series has so many rows too many, on the average, and a commit pays for next to none of it.
const TRIMMED: u32 = 32;

/// Of so many commits one looks for stacks that no occurrence has any more.
const LOOKED_FOR: u32 = 8;

/// Joins a delta with what is stored.
pub(super) struct Commit<'a> {
    pub(super) delta: &'a Delta,
    pub(super) lease: &'a Lease,
    pub(super) documents: &'a Mutex<Documents>,
}

#[async_trait]
impl<D: Dialect> Work<D> for Commit<'_> {
    type Done = Lease;
    const KIND: WorkKind = WorkKind::Writes;

    async fn work(&self, transaction: &mut Transaction<'_, D>) -> Result<Lease, Trouble> {
        let (renewed, commit) = self.lease.renew(transaction, 1).await?;
        let rows = Rows::of(self.delta, self.documents);
        let Rows { touched, with_occurrences, with_actions, old_buckets, forgets, .. } = rows;
        for batch in rows.until_errors {
            batch.write(transaction, self.lease.id(), commit).await?;
        }
        // From now on nobody else changes anything of these errors.
        let stacks = new_stacks(transaction, &with_occurrences, rows.stacks).await?;
        for batch in std::iter::once(stacks).chain(rows.of_errors) {
            batch.write(transaction, self.lease.id(), commit).await?;
        }
        let keep = self.delta.occurrences_kept();
        trim_occurrences(transaction, &with_occurrences, keep, forgets).await?;
        trim_actions(transaction, &with_actions).await?;
        trim_buckets(transaction, &old_buckets).await?;
        tracing::debug!(errors = touched, commit, "committed");
        Ok(renewed)
    }
}

/// The rows of a delta, and what is to be tidied up after them.
struct Rows<'a> {
    touched: usize,
    with_occurrences: Vec<Vec<u8>>,
    with_actions: Vec<Vec<u8>>,
    /// Buckets from which on everything older is dropped, of each series.
    old_buckets: Vec<OldBuckets>,
    /// Whether people had something forgotten.
    forgets: bool,
    /// In an order in which every process locks them: up to the errors themselves, then what
    /// belongs to them.
    until_errors: [Batch; 5],
    of_errors: [Batch; 5],
    stacks: Vec<NamedStack<'a>>,
}

/// The stack of an error's occurrence.
struct NamedStack<'a> {
    error: Vec<u8>,
    name: StackName,
    of: OccurrenceView<'a>,
}

struct OldBuckets {
    error: [u8; 16],
    observer: i64,
    seconds: i64,
    before: i64,
}

impl<'a> Rows<'a> {
    fn of(delta: &'a Delta, documents: &Mutex<Documents>) -> Self {
        let state = delta.state();
        let [mut names, mut observers, mut targets, mut who] =
            [&SERVICES, &SERVICE_OBSERVERS, &TARGETS, &SOURCES].map(Batch::new);
        for service in services(state) {
            put_service(service, &mut names, &mut observers, &mut targets);
        }
        for (id, source) in sources(state) {
            let labels = source.labels_since();
            who.push([
                id.as_bytes().to_vec().into(),
                text(source.name()),
                Value::Text(labels.map(|(_, labels)| labels_document(labels))),
                labels.map(|(at, _)| at.as_micros()).into(),
            ]);
        }
        let mut of_errors = OfErrors::new();
        let mut all: Vec<_> = errors(state).map(|error| (error.digest(), error)).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        let touched = all.len();
        // Whoever panicked in the middle of it has left nothing wrong behind.
        let mut documents = documents.lock().unwrap_or_else(PoisonError::into_inner);
        documents.begin();
        all.into_iter().for_each(|(id, error)| of_errors.put(id, error, &mut documents));
        let OfErrors { errors, counts, forgotten, occurrences, actions, buckets, .. } = of_errors;
        let mut summaries = periskop_core::wire::state::errors(state).map(ErrorParts::summary);
        let forgets = summaries.any(|summary| summary.forgotten_through.is_some());
        Self {
            touched,
            with_occurrences: of_errors.with_occurrences,
            with_actions: of_errors.with_actions,
            old_buckets: of_errors.old_buckets,
            forgets,
            until_errors: [names, observers, targets, who, errors],
            of_errors: [counts, forgotten, occurrences, actions, buckets],
            stacks: of_errors.stacks,
        }
    }
}

fn put_service(
    service: ServiceParts<'_>,
    names: &mut Batch,
    observers: &mut Batch,
    targets: &mut Batch,
) {
    let id = service_id(service.name());
    names.push([id.clone().into(), text(service.name().as_str())]);
    for observer in service.observers() {
        observers.push([id.clone().into(), number(observer).into()]);
    }
    for (url, last) in service.targets() {
        targets.push([
            id.clone().into(),
            target_id(url).into(),
            text(url),
            text(last.reason()),
            i64::from(!last.is_up()).into(),
            last.since().as_micros().into(),
        ]);
    }
}

/// The rows of errors.
struct OfErrors<'a> {
    errors: Batch,
    counts: Batch,
    forgotten: Batch,
    stacks: Vec<NamedStack<'a>>,
    occurrences: Batch,
    actions: Batch,
    buckets: Batch,
    with_occurrences: Vec<Vec<u8>>,
    with_actions: Vec<Vec<u8>>,
    old_buckets: Vec<OldBuckets>,
}

impl<'a> OfErrors<'a> {
    fn new() -> Self {
        Self {
            errors: Batch::new(&ERRORS),
            counts: Batch::new(&COUNTS),
            forgotten: Batch::new(&FORGOTTEN),
            stacks: Vec::new(),
            occurrences: Batch::new(&OCCURRENCES),
            actions: Batch::new(&ACTIONS),
            buckets: Batch::new(&BUCKETS),
            with_occurrences: Vec::new(),
            with_actions: Vec::new(),
            old_buckets: Vec::new(),
        }
    }

    fn put(&mut self, digest: ErrorDigest, error: ErrorParts<'a>, documents: &mut Documents) {
        let id = digest.as_bytes().to_vec();
        self.errors.push(summary(&id, error));
        for known in error.counts() {
            let [source, observer, is_numbered, life] = incarnation(&known.incarnation);
            let total = count(known.tally.count());
            let time = |time: Option<Timestamp>| time.map(Timestamp::as_micros).into();
            let (newest, risen) = (time(known.tally.newest()), time(known.tally.risen()));
            let age = known.age.as_i64().into();
            let error = id.clone().into();
            let row = [error, source, observer, is_numbered, life, total, newest, risen, age];
            self.counts.push(row);
        }
        for (forgotten, total) in error.forgotten() {
            let [source, observer, is_numbered, life] = incarnation(forgotten);
            let error = id.clone().into();
            self.forgotten.push([error, source, observer, is_numbered, life, count(*total)]);
        }
        self.put_occurrences(&id, error, documents);
        for action in error.actions() {
            self.actions.push([
                id.clone().into(),
                action.at.as_micros().into(),
                action.id.0.to_be_bytes().to_vec().into(),
                text(action.act.as_str()),
                action.act.until().map(Timestamp::as_micros).into(),
                action.act.further().map(|n| i64::try_from(n).unwrap_or(i64::MAX)).into(),
                text(&action.by),
                text(&action.why),
                Value::Text(action.watermark().map(watermark_document)),
            ]);
        }
        if error.actions().next().is_some() {
            self.with_actions.push(id.clone());
        }
        self.put_buckets(*digest.as_bytes(), error.buckets());
    }

    fn put_occurrences(&mut self, id: &[u8], error: ErrorParts<'a>, documents: &mut Documents) {
        let first = self.stacks.len();
        for of in error.occurrences() {
            let (document, name) = documents.occurrence(of);
            if !self.stacks[first..].iter().any(|known| known.name == name) {
                self.stacks.push(NamedStack { error: id.to_vec(), name, of });
            }
            self.occurrences.push([
                id.to_vec().into(),
                of.name().as_bytes().to_vec().into(),
                name.0.to_vec().into(),
                document.into(),
                of.content().0.to_vec().into(),
                of.ordering_time().as_micros().into(),
            ]);
        }
        // What is forgotten takes occurrences with it.
        if self.stacks.len() > first || error.summary().forgotten_through.is_some() {
            self.with_occurrences.push(id.to_vec());
        }
    }

    fn put_buckets(&mut self, error: [u8; 16], buckets: impl Iterator<Item = Bucket>) {
        for bucket in buckets {
            let (observer, seconds) = (number(bucket.observer), i64::from(bucket.width.secs()));
            self.buckets.push([
                error.to_vec().into(),
                observer.into(),
                seconds.into(),
                i64::from(bucket.number).into(),
                i64::from(bucket.count).into(),
            ]);
            // Now and then is enough: what is older than is kept is dropped when it is read.
            if rand::random_range(0..TRIMMED) > 0 {
                continue;
            }
            let before = i64::from(bucket.number) - i64::from(bucket.width.kept()) + 1;
            let same = self.old_buckets.last_mut().filter(|last| {
                (last.error, last.observer, last.seconds) == (error, observer, seconds)
            });
            match same {
                Some(last) => last.before = last.before.max(before),
                None => {
                    self.old_buckets.push(OldBuckets { error, observer, seconds, before });
                }
            }
        }
    }
}

fn summary(id: &[u8], error: ErrorParts<'_>) -> [Value; 9] {
    let Summary { first_seen, last_seen, severity, forgotten_through } = error.summary();
    let time = |time: Option<Timestamp>| Value::from(time.map(Timestamp::as_micros));
    let rank = severity.map(|(_, severity)| match severity {
        Severity::Info => 1,
        Severity::Warning => 2,
        Severity::Error => 3,
    });
    [
        id.to_vec().into(),
        service_id(error.service()).into(),
        digest(error.key().as_str()).to_vec().into(),
        text(error.key().as_str()),
        time(first_seen),
        time(last_seen),
        rank.into(),
        time(severity.map(|(at, _)| at)),
        time(forgotten_through),
    ]
}

/// The rows of the stacks that are not stored yet: most are, and are long.
async fn new_stacks<D: Dialect>(
    transaction: &mut Transaction<'_, D>,
    errors: &[Vec<u8>],
    stacks: Vec<NamedStack<'_>>,
) -> Result<Batch, Trouble> {
    const KINDS: &[Kind] = &[Kind::Bytes, Kind::Bytes];
    let mut stored = HashSet::new();
    if D::SYNTAX.reads_latest {
        for some in errors.chunks(LISTED_AT_ONCE) {
            let query = "SELECT error, id FROM periskop_stacks WHERE error";
            let query = Statement::new(D::SYNTAX, query).one_of(some);
            for mut row in transaction.rows(&query, KINDS).await? {
                stored.insert((row.id::<16>()?, StackName(row.id()?)));
            }
        }
    }
    let mut rows = Batch::new(&STACKS);
    for NamedStack { error, name, of } in stacks {
        let id = <[u8; 16]>::try_from(&error[..]).unwrap_or_default();
        if !stored.contains(&(id, name)) {
            rows.push([error.into(), name.0.to_vec().into(), stack_document(of).into()]);
        }
    }
    Ok(rows)
}

/// Keeps as many occurrences as the state keeps, none that is forgotten, and the stacks of those.
/// Most stacks are those of the occurrences that stay: it is looked for others now and then, and
/// at once where somebody wants a text to be gone.
async fn trim_occurrences<D: Dialect>(
    transaction: &mut Transaction<'_, D>,
    errors: &[Vec<u8>],
    keep: u8,
    forgets: bool,
) -> Result<(), Trouble> {
    let looks = forgets || rand::random_range(0..LOOKED_FOR) == 0;
    let template = D::SYNTAX.trim_occurrences.replace("{keep}", &keep.to_string());
    let (before, after) = template.split_once("{errors}").unwrap_or((&template, ""));
    for some in errors.chunks(LISTED_AT_ONCE) {
        let surplus = Statement::new(D::SYNTAX, before).one_of(some).sql(after);
        if transaction.execute(&surplus).await? > 0 && looks {
            drop_unused_stacks(transaction, some).await?;
        }
    }
    Ok(())
}

async fn drop_unused_stacks<D: Dialect>(
    transaction: &mut Transaction<'_, D>,
    errors: &[Vec<u8>],
) -> Result<(), Trouble> {
    let unused =
        Statement::new(D::SYNTAX, "DELETE FROM periskop_stacks WHERE error").one_of(errors).sql(
            " AND NOT EXISTS (SELECT 1 FROM periskop_occurrences o \
             WHERE o.error = periskop_stacks.error AND o.stack = periskop_stacks.id)",
        );
    transaction.execute(&unused).await?;
    Ok(())
}

/// Keeps the actions that a state keeps, and what was known then only of those that rule.
async fn trim_actions<D: Dialect>(
    transaction: &mut Transaction<'_, D>,
    errors: &[Vec<u8>],
) -> Result<(), Trouble> {
    const KINDS: &[Kind] = &[Kind::Bytes, Kind::Int, Kind::Bytes, Kind::Text, Kind::Int];
    let select = format!(
        "SELECT error, done_at, id, act, {} FROM periskop_actions WHERE error",
        D::SYNTAX.one_if("watermark IS NOT NULL")
    );
    for some in errors.chunks(LISTED_AT_ONCE) {
        let all = Statement::new(D::SYNTAX, select.as_str()).one_of(some);
        let mut known: Vec<Acted> = Vec::new();
        for row in transaction.rows(&all, KINDS).await? {
            known.push(Acted::read(row)?);
        }
        known.sort_unstable();
        let (mut gone, mut bare) = (Vec::new(), Vec::new());
        for of_error in known.chunk_by(|a, b| a.error == b.error) {
            let words = of_error.iter().map(|acted| acted.act.as_str());
            for (acted, fate) in of_error.iter().zip(Triage::kept(words)) {
                match (fate.is_kept, fate.rules || !acted.has_watermark) {
                    (false, _) => gone.push(acted.place()),
                    (true, false) => bare.push(acted.place()),
                    (true, true) => {}
                }
            }
        }
        let delete = "DELETE FROM periskop_actions WHERE ";
        let forget = "UPDATE periskop_actions SET watermark = NULL WHERE ";
        for (sql, places) in [(delete, gone), (forget, bare)] {
            for places in places.chunks(NAMED_AT_ONCE) {
                let names = ["error", "done_at", "id"];
                transaction.execute(&any_of(D::SYNTAX, sql, &names, places)).await?;
            }
        }
    }
    Ok(())
}

/// An action, as far as it matters for whether it stays.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Acted {
    error: Vec<u8>,
    at: i64,
    id: Vec<u8>,
    act: String,
    has_watermark: bool,
}

impl Acted {
    fn read(mut row: Row) -> Result<Self, Trouble> {
        let (error, at, id, act) = (row.bytes()?, row.int()?, row.bytes()?, row.text()?);
        Ok(Self { error, at, id, act, has_watermark: row.int()? == 1 })
    }

    fn place(&self) -> [Value; 3] {
        [self.error.clone().into(), self.at.into(), self.id.clone().into()]
    }
}

/// Drops what is older than a series keeps.
async fn trim_buckets<D: Dialect>(
    transaction: &mut Transaction<'_, D>,
    old: &[OldBuckets],
) -> Result<(), Trouble> {
    for some in old.chunks(NAMED_AT_ONCE) {
        let mut statement = Statement::new(D::SYNTAX, "DELETE FROM periskop_buckets WHERE ");
        for i in 0..filled(some.len()) {
            let old = &some[i.min(some.len() - 1)];
            statement = statement
                .sql(if i > 0 { " OR (error = " } else { "(error = " })
                .value(old.error.to_vec())
                .sql(" AND observer = ")
                .value(old.observer)
                .sql(" AND seconds = ")
                .value(old.seconds)
                .sql(" AND number < ")
                .value(old.before)
                .sql(")");
        }
        transaction.execute(&statement).await?;
    }
    Ok(())
}

/// A statement about the rows in which these columns have these values.
pub(super) fn any_of<const N: usize>(
    syntax: &Syntax,
    sql: &str,
    names: &[&str; N],
    rows: &[[Value; N]],
) -> Statement {
    let mut statement = Statement::new(syntax, sql);
    for i in 0..filled(rows.len()) {
        let row = &rows[i.min(rows.len() - 1)];
        statement = statement.sql(if i > 0 { " OR (" } else { "(" });
        for (j, (name, value)) in names.iter().zip(row).enumerate() {
            statement = statement.sql(if j > 0 { " AND " } else { "" }).sql(name).sql(" = ");
            statement = statement.value(value.clone());
        }
        statement = statement.sql(")");
    }
    statement
}

/// The id of a service.
pub(super) fn service_id(name: &ServiceName) -> Vec<u8> {
    digest(name.as_str())[..16].to_vec()
}

/// The id of a target.
pub(super) fn target_id(url: &str) -> Vec<u8> {
    digest(url)[..16].to_vec()
}

/// Source, observer, whether it is numbered, and which life.
pub(super) fn incarnation(incarnation: &Incarnation) -> [Value; 4] {
    let source = incarnation.source.as_bytes().to_vec().into();
    match incarnation.since {
        Since::CreatedAt(at) => [source, 0.into(), 0.into(), at.as_micros().into()],
        Since::Reset { observer, n } => {
            [source, number(observer).into(), 1.into(), i64::from(n).into()]
        }
    }
}

fn number(observer: ReplicaId) -> i64 {
    observer.as_u64().cast_signed()
}

fn count(n: u64) -> Value {
    i64::try_from(n).unwrap_or(i64::MAX).into()
}

fn text(text: &str) -> Value {
    escape(text).into_owned().into()
}
