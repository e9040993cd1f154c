//! What is an occurrence's own, apart from what it shares with others.

use super::pieces::{Packing, Pieces};
use crate::occurrence::Severity;
use crate::time::Timestamp;

/// What an occurrence has of its own, ready to be kept with what others have as well.
pub(crate) struct OwnPieces {
    pub(super) time: Timestamp,
    /// The [`Mark`], then the pieces.
    pub(super) own: Box<[u8]>,
}

/// The time as it came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reported {
    /// None.
    Never,
    /// The one that the occurrence is ordered by, nearly always.
    Same,
    /// The last piece says.
    Otherwise,
}

/// What little is to be said of an occurrence, in one byte before its pieces.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u8);

const REPORTED: u8 = 0b11;
const USABLE: u8 = 1 << 2;
const SEVERITY: u32 = 3;

impl Mark {
    /// That of some pieces with whatever is held with them.
    pub(super) fn of(own: &[u8]) -> Self {
        Self(own.first().copied().unwrap_or_default())
    }

    fn reporting(reported: Reported) -> Self {
        Self(match reported {
            Reported::Never => 0,
            Reported::Same => 1,
            Reported::Otherwise => 2,
        })
    }

    /// The same of an occurrence of this severity whose time is usable or not, in its place.
    pub(super) fn complete(own: &mut [u8], severity: Severity, is_usable: bool) {
        let severity = match severity {
            Severity::Info => 0,
            Severity::Warning => 1,
            Severity::Error => 2,
        };
        let usable = if is_usable { USABLE } else { 0 };
        if let Some(mark) = own.first_mut() {
            *mark = (*mark & REPORTED) | usable | (severity << SEVERITY);
        }
    }

    pub(super) fn reported(self) -> Reported {
        match self.0 & REPORTED {
            0 => Reported::Never,
            1 => Reported::Same,
            _ => Reported::Otherwise,
        }
    }

    pub(super) fn is_usable(self) -> bool {
        self.0 & USABLE != 0
    }

    pub(super) fn severity(self) -> Severity {
        match self.0 >> SEVERITY {
            0 => Severity::Info,
            1 => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl OwnPieces {
    /// Those in `packing`, of an occurrence that is ordered by `time`.
    pub(crate) fn of(packing: &mut Packing, reported: Option<Timestamp>, time: Timestamp) -> Self {
        let (reported, otherwise) = match reported {
            None => (Reported::Never, None),
            Some(reported) if reported == time => (Reported::Same, None),
            Some(reported) => (Reported::Otherwise, Some(reported)),
        };
        if let Some(otherwise) = otherwise {
            packing.push(&otherwise.as_micros().to_string());
        }
        Self { time, own: packing.finish(Mark::reporting(reported).0) }
    }

    /// The name, then the others in order.
    pub(crate) fn pieces(&self) -> Pieces<'_> {
        Pieces::of(&self.own)
    }

    /// The time as it came.
    pub(crate) fn reported_time(&self) -> Option<Timestamp> {
        self.reported().time(self.time, self.pieces())
    }

    /// How many of the pieces are texts.
    pub(super) fn texts(&self) -> usize {
        self.reported().texts(self.pieces())
    }

    fn reported(&self) -> Reported {
        Mark::of(&self.own).reported()
    }
}

impl Reported {
    /// The time as it came, of an occurrence that is ordered by `time` and has these pieces.
    pub(super) fn time(self, time: Timestamp, pieces: Pieces<'_>) -> Option<Timestamp> {
        match self {
            Self::Never => None,
            Self::Same => Some(time),
            Self::Otherwise => pieces.last()?.text().parse().ok().map(Timestamp::from_micros),
        }
    }

    /// How many of these pieces are texts.
    pub(super) fn texts(self, pieces: Pieces<'_>) -> usize {
        pieces.how_many() - usize::from(self == Self::Otherwise)
    }
}
