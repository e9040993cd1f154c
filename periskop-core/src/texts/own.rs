//! What is an occurrence's own, apart from what it shares with others.

use super::pieces::{Packing, Pieces};
use crate::time::Timestamp;

/// What an occurrence has of its own, ready to be kept with what others have as well.
pub(crate) struct OwnPieces {
    pub(super) time: Timestamp,
    pub(super) text: Box<str>,
    pub(super) start: u32,
    pub(super) reported: Reported,
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
        let (text, start) = packing.finish();
        Self { time, text, start, reported }
    }

    /// The name, then the others in order.
    pub(crate) fn pieces(&self) -> Pieces<'_> {
        Pieces::of(&self.text, self.start)
    }

    /// The time as it came.
    pub(crate) fn reported_time(&self) -> Option<Timestamp> {
        self.reported.time(self.time, self.pieces())
    }
}

impl Reported {
    /// The time as it came, of an occurrence that is ordered by `time` and has these pieces.
    pub(super) fn time(self, time: Timestamp, pieces: Pieces<'_>) -> Option<Timestamp> {
        match self {
            Self::Never => None,
            Self::Same => Some(time),
            Self::Otherwise => pieces.last()?.parse().ok().map(Timestamp::from_micros),
        }
    }

    /// How many of these pieces are texts.
    pub(super) fn texts(self, pieces: Pieces<'_>) -> usize {
        pieces.how_many() - usize::from(self == Self::Otherwise)
    }
}
