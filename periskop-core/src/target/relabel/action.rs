//! What rules can do.

use std::fmt;
use std::str::FromStr;

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Sets a label to the replacement when the regular expression matches.
    #[default]
    Replace,
    /// Drops targets that do not match.
    Keep,
    /// Drops targets that match.
    Drop,
    /// Drops targets whose source labels differ from the target label.
    KeepEqual,
    /// Drops targets whose source labels equal the target label.
    DropEqual,
    /// Sets a label to a hash of the source labels modulo a number.
    HashMod,
    /// Copies labels whose names match to new names.
    LabelMap,
    /// Removes labels whose names match.
    LabelDrop,
    /// Removes labels whose names do not match.
    LabelKeep,
    /// Sets a label to the source labels in lower case.
    Lowercase,
    /// Sets a label to the source labels in upper case.
    Uppercase,
}

impl Action {
    pub(super) const ALL: [Self; 11] = [
        Self::Replace,
        Self::Keep,
        Self::Drop,
        Self::KeepEqual,
        Self::DropEqual,
        Self::HashMod,
        Self::LabelMap,
        Self::LabelDrop,
        Self::LabelKeep,
        Self::Lowercase,
        Self::Uppercase,
    ];

    /// As configurations name it, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_lowercase();
        let found = Self::ALL.into_iter().find(|action| action.as_str() == lower);
        found.ok_or_else(|| format!("unknown relabel action {text:?}"))
    }
}
