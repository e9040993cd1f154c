//! The values of records: numbers of fixed width where there are many of a kind, else JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use periskop_core::aggregate::{Act, Action, ActionId, Age, Bucket, Known, Tally, Width};
use periskop_core::ids::{ErrorDigest, ReplicaId};
use periskop_core::merge::Merge;
use periskop_core::occurrence::{ContentHash, Severity};
use periskop_core::state::Source;
use periskop_core::target::{Labels, LastState};
use periskop_core::wire::state::{
    ErrorParts, Summary, labels_document, parse_labels, parse_watermark, watermark_document,
};
use periskop_core::{AggregateId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::key::{Fields, Key, Short};
use super::trouble::{Trouble, damaged};

/// Stands for "no time": none that parses is as early.
const NEVER: i64 = i64::MIN;

/// An error as a whole.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow)]
    service: Cow<'a, str>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    first_seen: Option<i64>,
    last_seen: Option<i64>,
    severity: Option<(i64, Cow<'a, str>)>,
    forgotten_through: Option<i64>,
}

impl<'a> Head<'a> {
    pub(super) fn write(error: ErrorParts<'_>, summary: Summary) -> Vec<u8> {
        Self::of(error.service().as_str(), error.key().as_str(), summary)
    }

    /// The same error with another summary.
    pub(super) fn rewrite(&self, summary: Summary) -> Vec<u8> {
        Self::of(&self.service, &self.key, summary)
    }

    fn of(service: &str, key: &str, summary: Summary) -> Vec<u8> {
        to_json(&Head {
            service: service.into(),
            key: key.into(),
            first_seen: micros(summary.first_seen),
            last_seen: micros(summary.last_seen),
            severity: summary.severity.map(|(at, s)| (at.as_micros(), s.as_str().into())),
            forgotten_through: micros(summary.forgotten_through),
        })
    }

    pub(super) fn read(value: &'a [u8]) -> Result<Self, Trouble> {
        Ok(serde_json::from_slice(value)?)
    }

    pub(super) fn id(&self) -> AggregateId {
        AggregateId { service: self.service.as_ref().into(), key: self.key.as_ref().into() }
    }

    pub(super) fn summary(&self) -> Result<Summary, Trouble> {
        let severity = match &self.severity {
            None => None,
            Some((at, word)) => match Severity::parse(word) {
                Some(severity) => Some((Timestamp::from_micros(*at), severity)),
                None => return Err(damaged(format!("`{word}` is no severity"))),
            },
        };
        Ok(Summary {
            first_seen: time(self.first_seen),
            last_seen: time(self.last_seen),
            severity,
            forgotten_through: time(self.forgotten_through),
        })
    }
}

/// What is known of an error as a whole, joined.
pub(super) fn join(known: Summary, told: Summary) -> Summary {
    let first_seen = match (known.first_seen, told.first_seen) {
        (Some(known), Some(told)) => Some(known.min(told)),
        (known, told) => known.or(told),
    };
    Summary {
        first_seen,
        // Nothing is less than anything.
        last_seen: known.last_seen.max(told.last_seen),
        severity: known.severity.max(told.severity),
        forgotten_through: known.forgotten_through.max(told.forgotten_through),
    }
}

/// What an incarnation counted, and its age: four numbers of eight bytes.
pub(super) fn write_count(known: &Known) -> [u8; 32] {
    let mut value = [0; 32];
    let raw = |time: Option<Timestamp>| time.map_or(NEVER, Timestamp::as_micros).to_be_bytes();
    value[..8].copy_from_slice(&known.tally.count().to_be_bytes());
    value[8..16].copy_from_slice(&raw(known.tally.newest()));
    value[16..24].copy_from_slice(&raw(known.tally.risen()));
    value[24..].copy_from_slice(&known.age.as_i64().to_be_bytes());
    value
}

pub(super) fn read_count(value: &[u8]) -> Result<(Tally, Age), Trouble> {
    let mut fields = Fields::of_value(value);
    let count = u64::from_be_bytes(fields.take()?);
    let [newest, risen, age] =
        [fields.take()?, fields.take()?, fields.take()?].map(i64::from_be_bytes);
    fields.end()?;
    let time = |micros| (micros != NEVER).then(|| Timestamp::from_micros(micros));
    Ok((Tally::new(count, time(newest), time(risen)), Age::from_i64(age)))
}

/// What was known of an incarnation joined with what is told of it.
pub(super) fn join_count(known: Option<(Tally, Age)>, told: Known) -> Known {
    let Some((mut tally, age)) = known else { return told };
    tally.merge(told.tally);
    Known { tally, age: age.max(told.age), ..told }
}

pub(super) fn read_forgotten(value: &[u8]) -> Result<u64, Trouble> {
    let mut fields = Fields::of_value(value);
    let count = u64::from_be_bytes(fields.take()?);
    fields.end()?;
    Ok(count)
}

/// What an observer saw within an hour: four bytes for the whole hour, 0 if that is not kept, and
/// for each minute its number and another four.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hour {
    pub(super) whole: u32,
    pub(super) minutes: BTreeMap<u8, u32>,
}

impl Hour {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut value = self.whole.to_be_bytes().to_vec();
        for (minute, count) in &self.minutes {
            value.push(*minute);
            value.extend_from_slice(&count.to_be_bytes());
        }
        value
    }

    pub(super) fn read(value: &[u8]) -> Result<Self, Trouble> {
        let mut fields = Fields::of_value(value);
        let whole = fields.number()?;
        let mut minutes = BTreeMap::new();
        while !fields.rest().is_empty() {
            let [minute] = fields.take()?;
            if minute > 59 {
                return Err(damaged(format!("an hour has no minute {minute}")));
            }
            minutes.insert(minute, fields.number()?);
        }
        Ok(Self { whole, minutes })
    }

    /// The buckets that it stands for.
    pub(super) fn buckets(
        &self,
        observer: ReplicaId,
        hour: u32,
    ) -> impl Iterator<Item = Bucket> + '_ {
        let whole = (self.whole > 0).then_some(Bucket {
            observer,
            width: Width::Hour,
            number: hour,
            count: self.whole,
        });
        let minutes = self.minutes.iter().map(move |(minute, count)| Bucket {
            observer,
            width: Width::Minute,
            number: hour.saturating_mul(60).saturating_add((*minute).into()),
            count: *count,
        });
        whole.into_iter().chain(minutes)
    }
}

/// An action, less what its key says.
#[derive(Serialize, Deserialize)]
struct ActionValue<'a> {
    #[serde(borrow)]
    act: Cow<'a, str>,
    until: Option<i64>,
    further: Option<u64>,
    #[serde(borrow)]
    by: Cow<'a, str>,
    #[serde(borrow)]
    why: Cow<'a, str>,
    #[serde(borrow)]
    watermark: Option<&'a RawValue>,
}

pub(super) fn action_key(error: &ErrorDigest, action: &Action) -> Key {
    let key = Key::of_error(super::key::ACTION, error).time(action.at);
    key.bytes(&action.id.0.to_be_bytes())
}

pub(super) fn write_action(action: &Action) -> Vec<u8> {
    let watermark = action.watermark().map(|watermark| raw(watermark_document(watermark)));
    to_json(&ActionValue {
        act: action.act.as_str().into(),
        until: micros(action.act.until()),
        further: action.act.further(),
        by: (&*action.by).into(),
        why: (&*action.why).into(),
        watermark: watermark.as_deref(),
    })
}

pub(super) fn read_action(key: &[u8], value: &[u8]) -> Result<Action, Trouble> {
    let mut fields = Fields::of_key(key);
    fields.error()?;
    let (at, id) = (fields.time()?, u128::from_be_bytes(fields.take()?));
    fields.end()?;
    let read: ActionValue<'_> = serde_json::from_slice(value)?;
    let Some(act) = Act::of_parts(&read.act, time(read.until), read.further) else {
        return Err(damaged(format!("`{}` is nothing that can be done", read.act)));
    };
    let watermark = read.watermark.map(|w| parse_watermark(w.get())).transpose()?;
    Ok(Action::stored(ActionId(id), at, act, &read.by, &read.why, watermark))
}

/// Who counts.
#[derive(Serialize, Deserialize)]
struct SourceValue<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    labels_since: Option<i64>,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
}

/// What is known of a source.
pub(super) struct KnownSource {
    pub(super) name: String,
    pub(super) labels: Option<(Timestamp, Labels)>,
}

impl KnownSource {
    /// Its name stays; of labels the later ones.
    pub(super) fn is_raised_by(&self, told: &Source) -> bool {
        let known = self.labels.as_ref().map(|(since, labels)| (*since, labels));
        told.labels_since() > known
    }
}

pub(super) fn write_source(name: &str, source: &Source) -> Vec<u8> {
    let labels = source.labels().map(|labels| raw(labels_document(labels)));
    to_json(&SourceValue {
        name: name.into(),
        labels_since: micros(source.labels_since().map(|(since, _)| since)),
        labels: labels.as_deref(),
    })
}

pub(super) fn read_source(value: &[u8]) -> Result<KnownSource, Trouble> {
    let read: SourceValue<'_> = serde_json::from_slice(value)?;
    let labels = match (time(read.labels_since), read.labels) {
        (Some(since), Some(labels)) => Some((since, parse_labels(labels.get())?)),
        (None, None) => None,
        _ => return Err(damaged("labels and their time come together")),
    };
    Ok(KnownSource { name: read.name.into_owned(), labels })
}

/// How a target was found last.
#[derive(Serialize, Deserialize)]
struct TargetValue<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
    since: i64,
    up: bool,
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

pub(super) fn write_target(url: &str, last: &LastState) -> Vec<u8> {
    to_json(&TargetValue {
        url: url.into(),
        since: last.since().as_micros(),
        up: last.is_up(),
        reason: last.reason().into(),
    })
}

/// The URL of a target, and how it was found.
pub(super) fn read_target(value: &[u8]) -> Result<(String, LastState), Trouble> {
    let read: TargetValue<'_> = serde_json::from_slice(value)?;
    let since = Timestamp::from_micros(read.since);
    let last = if read.up { LastState::up(since) } else { LastState::down(since, &read.reason) };
    Ok((read.url.into_owned(), last))
}

/// What stands before the document of an occurrence: its content's hash and its stack's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    pub(super) content: ContentHash,
    pub(super) stack: Short,
}

impl Label {
    const LENGTH: usize = 32;

    /// What is said of an occurrence by the first part of its value.
    pub(super) fn read(value: &[u8]) -> Result<Self, Trouble> {
        let mut fields = Fields::of_value(value);
        Ok(Self { content: ContentHash(fields.take()?), stack: fields.take()? })
    }

    pub(super) fn write(self, document: &str) -> Vec<u8> {
        [&self.content.0[..], &self.stack, document.as_bytes()].concat()
    }

    /// The document that follows.
    pub(super) fn document(value: &[u8]) -> Result<&str, Trouble> {
        text(value.get(Self::LENGTH..).unwrap_or_default())
    }
}

/// The time and the name of an occurrence, by its key.
pub(super) fn read_occurrence_key(key: &[u8]) -> Result<(Timestamp, &str), Trouble> {
    let mut fields = Fields::of_key(key);
    fields.error()?;
    Ok((fields.time()?, text(fields.rest())?))
}

/// The name of a stack as documents have it.
pub(super) fn stack_name(stack: Short) -> String {
    format!("{:032x}", u128::from_be_bytes(stack))
}

pub(super) fn text(value: &[u8]) -> Result<&str, Trouble> {
    std::str::from_utf8(value).map_err(|error| damaged(error.to_string()))
}

fn time(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}

fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_micros)
}

fn raw(document: String) -> Box<RawValue> {
    RawValue::from_string(document).expect("it has been written as JSON")
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what is written to memory cannot fail")
}

#[cfg(test)]
mod tests {
    use periskop_core::wire::state::StackName;

    use super::*;

    #[test]
    fn an_hour_is_what_it_was() {
        let hour = Hour { whole: 7, minutes: [(0, 1), (59, u32::MAX)].into() };
        assert_eq!(Hour::read(&hour.write()).unwrap(), hour);
        assert!(Hour::read(&[0, 0, 0]).is_err());
        assert!(Hour::read(&[0, 0, 0, 0, 60, 0, 0, 0, 1]).is_err());
    }

    #[test]
    fn a_stack_is_called_the_same_in_keys_and_documents() {
        let name = StackName::of("[[]]");
        assert_eq!(stack_name(name.0), name.as_hex());
    }
}
