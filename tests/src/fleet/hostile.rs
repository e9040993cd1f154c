//! Instances that do not mean well.

use std::str::FromStr;

/// In which manner an instance is hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Hostility {
    /// It accepts, and never answers.
    Hang,
    /// It answers honestly, a hundred bytes ten times a second.
    Slow,
    /// What it answers is no JSON.
    Garbage,
    /// Its answer does not end.
    Huge,
    /// It breaks off in the middle of an honest answer.
    Cut,
    /// Its answer unpacks to a gigabyte.
    Bomb,
    /// It answers with a status of 500.
    Refuse,
}

/// How many instances are hostile, in which manner: `KIND=N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hostile(pub Hostility, pub usize);

impl FromStr for Hostile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, number) = text.split_once('=').unwrap_or((text, "1"));
        let kind = <Hostility as clap::ValueEnum>::from_str(kind, false).map_err(|_| {
            let kinds = <Hostility as clap::ValueEnum>::value_variants().iter();
            let names = kinds.map(|kind| kind.name()).collect::<Vec<_>>();
            format!("`{kind}`: expected one of {}", names.join(", "))
        })?;
        let number = number.parse().map_err(|_| format!("`{number}` is no number"))?;
        Ok(Self(kind, number))
    }
}

impl Hostility {
    /// As the command line has it.
    pub fn name(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self);
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_instances_are_told_by_kind_and_number() {
        assert_eq!("hang=16".parse(), Ok(Hostile(Hostility::Hang, 16)));
        assert_eq!("cut".parse(), Ok(Hostile(Hostility::Cut, 1)));
        let error = "rude=2".parse::<Hostile>().unwrap_err();
        assert!(error.contains("hang, slow, garbage"), "{error}");
        assert!("cut=x".parse::<Hostile>().is_err());
    }
}
