//! Looks at everything that is stored, for whoever wants to know whether it is sound.

use std::collections::BTreeMap;
use std::fmt;

use periskop_core::SourceId;
use periskop_core::ids::{digest, sha256_hex};

use super::key::{self, Fields, Key, kind_name};
use super::load;
use super::table::{Long, Table};
use super::trouble::{Trouble, damaged};
use super::value::{self, Head, Hour, Label};
use super::waiting::Waiting;

/// As many mistakes are told as somebody may want to read.
const MOST: usize = 100;

/// What a store holds, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// How many records there are of each kind.
    pub records: BTreeMap<&'static str, u64>,
    /// How many bytes their keys and values have.
    pub bytes: u64,
    /// What is wrong, and where: the first hundred mistakes.
    pub mistakes: Vec<String>,
}

impl Check {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// How many records there are.
    pub fn total(&self) -> u64 {
        self.records.values().sum()
    }

    fn mistake(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        match trouble {
            Trouble::Damaged(what) => {
                if self.mistakes.len() < MOST {
                    self.mistakes.push(what);
                }
                Ok(())
            }
            trouble => Err(trouble),
        }
    }
}

/// A line for each kind of record, and one for each mistake.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.records {
            writeln!(f, "{kind}: {count}")?;
        }
        writeln!(f, "bytes: {}", self.bytes)?;
        self.mistakes.iter().try_for_each(|mistake| writeln!(f, "wrong: {mistake}"))
    }
}

/// Reads each record by itself, then all of them together.
pub(super) fn check(table: Table<'_>, waiting: &Waiting) -> Result<Check, Trouble> {
    let mut check = Check::default();
    for record in table.scan(&[]) {
        let (key, value) = record?;
        let kind = key.first().copied().unwrap_or_default();
        *check.records.entry(kind_name(kind)).or_default() += 1;
        check.bytes += (key.len() + value.len()) as u64;
        if let Err(trouble) = read(table, kind, &key, &value) {
            check.mistake(trouble.at(&key))?;
        }
    }
    match waiting.records() {
        Ok(records) => {
            if records.count() > 0 {
                check.records.insert("waiting commit", records.count());
            }
            check.bytes += records.bytes();
        }
        Err(trouble) => check.mistake(trouble)?,
    }
    if check.is_sound()
        && let Err(trouble) = load::state(table, waiting)
    {
        check.mistake(trouble)?;
    }
    Ok(check)
}

fn read(table: Table<'_>, kind: u8, key: &[u8], value: &sled::IVec) -> Result<(), Trouble> {
    let mut fields = Fields::of_key(key);
    let whole = || table.whole(key, Long::read(value)?);
    match kind {
        key::ABOUT => {}
        key::SERVICE => fits(&digest(value::text(&whole()?)?)[..16], fields.rest())?,
        key::OBSERVER => {
            fields.take::<16>()?;
            fields.observer()?;
            fields.end()?;
        }
        key::TARGET => {
            fields.take::<16>()?;
            let (url, _) = value::read_target(&whole()?)?;
            fits(&key::short(&url), fields.rest())?;
        }
        key::SOURCE => {
            let source = value::read_source(&whole()?)?;
            fits(SourceId::of(&source.name).as_bytes(), fields.rest())?;
        }
        key::COUNTS_IN => {
            let source = fields.source()?;
            let lives = Key::of_error(key::COUNT, &fields.error()?).bytes(source.as_bytes());
            if table.scan(lives.as_ref()).next().is_none() {
                return Err(damaged("there is no such count"));
            }
        }
        key::LOOSE => {
            fields.source()?;
            fields.end()?;
        }
        key::ERROR => {
            let whole = whole()?;
            let head = Head::read(&whole)?;
            head.summary()?;
            fits(head.id().digest().as_bytes(), fields.rest())?;
        }
        key::COUNT => {
            value::read_count(value)?;
            let error = fields.error()?;
            let counts_in = Key::of_source(key::COUNTS_IN, fields.incarnation()?.source);
            if !table.has(counts_in.bytes(error.as_bytes()))? {
                return Err(damaged("there is no entry of who counts where for it"));
            }
        }
        key::FORGOTTEN => {
            fields.error()?;
            fields.incarnation()?;
            value::read_forgotten(value)?;
        }
        key::ACTION => {
            value::read_action(key, &whole()?)?;
        }
        key::HOUR => {
            Hour::read(value)?;
        }
        key::STACK => {
            fields.error()?;
            let name = value::stack_name(fields.take()?);
            if sha256_hex(&whole()?) != name {
                return Err(damaged("its name is not that of its text"));
            }
        }
        key::OCCURRENCE => {
            let (_, name) = value::read_occurrence_key(key)?;
            let error = fields.error()?;
            let whole = whole()?;
            Label::document(&whole)?;
            let stack = Key::of_error(key::STACK, &error).bytes(&Label::read(&whole)?.stack);
            if !table.has(stack)? {
                return Err(damaged(format!("the stack of `{name}` is missing")));
            }
        }
        key::PART => {
            let owner = key.get(1..key.len().saturating_sub(4)).unwrap_or_default();
            let number = u32::from_be_bytes(*key.last_chunk().unwrap_or(&[0; 4]));
            if table.long(owner)?.is_none_or(|long| long.parts <= number) {
                return Err(damaged("there is nothing that it is a part of"));
            }
        }
        _ => return Err(damaged("this program knows no such record")),
    }
    Ok(())
}

fn fits(name: &[u8], key: &[u8]) -> Result<(), Trouble> {
    match name == key {
        true => Ok(()),
        false => Err(damaged("it is stored under the key of another name")),
    }
}
