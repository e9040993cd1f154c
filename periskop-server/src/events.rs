//! What happens to errors, told to whoever listens.
//!
//! The newest events are kept for those who lost their connection and ask for what they missed.
//! Nothing here waits for a listener: one who is slow, or away for long, is told that something
//! is missing. Events name errors and their states and hold none of their texts, so that there is
//! nothing to forget.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use periskop_core::aggregate::Status;
use periskop_core::{AggregateId, Severity, Timestamp};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// As many events as are kept.
const KEPT: usize = 1_000;

/// As many may listen at once. Each holds a connection, and others want some as well.
const LISTENERS: usize = 256;

/// What happened to an error.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Happened {
    pub(crate) what: What,
    pub(crate) error: AggregateId,
    pub(crate) from: Option<Status>,
    pub(crate) to: Option<Status>,
    /// As it is then; `None` where it is not listed any more.
    pub(crate) severity: Option<Severity>,
    pub(crate) at: Timestamp,
}

/// What it means to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    New,
    Regressed,
    Resolved,
    Reopened,
    Muted,
    Unmuted,
    Gone,
}

/// The number of an event, with when its process began: what another process numbered is another
/// event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId {
    process: i64,
    number: u64,
}

/// What a listener is told next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// This happened.
    Happened(EventId, Happened),
    /// Something happened that is not kept any more: look at everything anew.
    Reset(EventId),
}

/// Tells events, and keeps the newest.
#[derive(Debug)]
pub(crate) struct Events {
    process: i64,
    kept: Mutex<Kept>,
    /// How many there were.
    told: watch::Sender<u64>,
    /// How often anything changed of any error.
    changes: watch::Sender<u64>,
    closed: watch::Sender<bool>,
    streams: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Happened>,
    /// The number of the oldest that is kept.
    first: u64,
}

impl Events {
    pub(crate) fn new(started: Timestamp) -> Self {
        Self {
            process: started.as_micros(),
            kept: Mutex::default(),
            told: watch::Sender::new(0),
            changes: watch::Sender::new(0),
            closed: watch::Sender::new(false),
            streams: Arc::new(Semaphore::new(LISTENERS)),
        }
    }

    /// A permit for each who may listen.
    pub(crate) fn streams(&self) -> &Arc<Semaphore> {
        &self.streams
    }

    /// Tells that an error is not what it was.
    pub(crate) fn tell(&self, happened: Happened) {
        let mut kept = self.lock();
        kept.events.push_back(happened);
        if kept.events.len() > KEPT {
            kept.events.pop_front();
            kept.first += 1;
        }
        self.told.send_replace(kept.end());
    }

    /// Tells that something changed of some error, if only its count.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|n| *n += 1);
    }

    /// Ends every stream: the server stops.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Listens from what followed `last` on; without it, from now on.
    pub(crate) fn listen(&self, last: Option<EventId>) -> Listener {
        let next = match last {
            // What another process told is told by nobody any more: the first thing to be told
            // is that something is missing.
            Some(last) if last.process == self.process => Some(last.number + 1),
            Some(_) => None,
            None => Some(self.lock().end()),
        };
        Listener {
            next,
            told: self.told.subscribe(),
            changes: self.changes.subscribe(),
            closed: self.closed.subscribe(),
        }
    }

    fn id(&self, number: u64) -> EventId {
        EventId { process: self.process, number }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The number of the next event.
    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

/// Somebody who listens.
pub(crate) struct Listener {
    /// The number of the next event; `None` after what is not known here.
    next: Option<u64>,
    told: watch::Receiver<u64>,
    changes: watch::Receiver<u64>,
    closed: watch::Receiver<bool>,
}

impl Listener {
    /// What is to be told now, if anything is.
    pub(crate) fn poll(&mut self, events: &Events) -> Option<Told> {
        let kept = events.lock();
        let end = kept.end();
        match self.next {
            Some(next) if next >= kept.first && next <= end => {
                let at = usize::try_from(next - kept.first).ok()?;
                let happened = kept.events.get(at)?.clone();
                self.next = Some(next + 1);
                Some(Told::Happened(events.id(next), happened))
            }
            _ => {
                self.next = Some(end);
                Some(Told::Reset(events.id(end.saturating_sub(1))))
            }
        }
    }

    /// Waits until there may be something to tell, or, not before `changes_from`, something has
    /// changed since that was last said.
    pub(crate) async fn wait(&mut self, changes_from: Instant) -> Woken {
        let changed = async {
            tokio::time::sleep_until(changes_from).await;
            self.changes.changed().await
        };
        tokio::select! {
            _ = self.closed.wait_for(|closed| *closed) => Woken::Closed,
            told = self.told.changed() => if told.is_ok() { Woken::Told } else { Woken::Closed },
            changed = changed => if changed.is_ok() { Woken::Changed } else { Woken::Closed },
        }
    }
}

/// Why a listener does not wait any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There may be something to tell.
    Told,
    /// Something changed of some error.
    Changed,
    /// Nothing will ever be told again.
    Closed,
}

impl What {
    /// What it means that an error was this and is that.
    pub(crate) fn of(from: Option<Status>, to: Option<Status>) -> Option<Self> {
        use Status::{Muted, Open, Regressed, Resolved};
        Some(match (from, to) {
            (_, None) => Self::Gone,
            (None, Some(Open)) => Self::New,
            (_, Some(Regressed)) => Self::Regressed,
            (_, Some(Muted)) => Self::Muted,
            (Some(Muted), Some(_)) => Self::Unmuted,
            (_, Some(Resolved)) => Self::Resolved,
            (Some(Open), Some(Open)) => return None,
            (Some(_), Some(Open)) => Self::Reopened,
        })
    }

    /// The name of the event.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Regressed => "regressed",
            Self::Resolved => "resolved",
            Self::Reopened => "reopened",
            Self::Muted => "muted",
            Self::Unmuted => "unmuted",
            Self::Gone => "gone",
        }
    }
}

impl EventId {
    /// Reads what `Display` wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (process, number) = text.split_once('-')?;
        let process = i64::from_str_radix(process, 16).ok()?;
        Some(Self { process, number: number.parse().ok().filter(|n| *n < u64::MAX)? })
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}-{}", self.process, self.number)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn happened(key: usize) -> Happened {
        let error = AggregateId { service: "s".into(), key: key.to_string().into() };
        let (from, to) = (None, Some(Status::Open));
        Happened {
            what: What::New,
            error,
            from,
            to,
            severity: Some(Severity::Error),
            at: Timestamp::EPOCH,
        }
    }

    fn events() -> Events {
        Events::new(Timestamp::from_micros(0xabc))
    }

    fn told(listener: &mut Listener, events: &Events) -> Vec<String> {
        std::iter::from_fn(|| listener.poll(events))
            .map(|told| match told {
                Told::Happened(id, happened) => format!("{id} {}", happened.error.key),
                Told::Reset(id) => format!("{id} reset"),
            })
            .collect()
    }

    #[test]
    fn who_listens_is_told_what_happens_from_then_on() {
        let events = events();
        events.tell(happened(0));
        let mut listener = events.listen(None);
        assert_eq!(told(&mut listener, &events), [""; 0]);
        events.tell(happened(1));
        events.tell(happened(2));
        assert_eq!(told(&mut listener, &events), ["abc-1 1", "abc-2 2"]);
        assert_eq!(told(&mut listener, &events), [""; 0]);
    }

    #[test]
    fn who_comes_back_is_told_what_they_missed() {
        let events = events();
        (0..4).for_each(|n| events.tell(happened(n)));
        let mut listener = events.listen(EventId::parse("abc-1"));
        assert_eq!(told(&mut listener, &events), ["abc-2 2", "abc-3 3"]);
    }

    #[test]
    fn who_missed_more_than_is_kept_or_was_told_by_another_process_looks_anew() {
        let events = events();
        (0..KEPT + 10).for_each(|n| events.tell(happened(n)));
        for last in ["abc-3", "abd-1005", "abc-99999999"] {
            let mut listener = events.listen(EventId::parse(last));
            assert_eq!(told(&mut listener, &events), ["abc-1009 reset"], "{last}");
        }
        let mut listener = events.listen(EventId::parse("abc-3"));
        assert_eq!(told(&mut listener, &events).len(), 1);
        events.tell(happened(0));
        assert_eq!(told(&mut listener, &events), ["abc-1010 0"], "and goes on from there");
    }

    #[test]
    fn an_id_reads_back_and_another_text_is_none() {
        let id = EventId { process: 0x64_0000_0000_0000, number: 7 };
        assert_eq!(EventId::parse(&id.to_string()), Some(id));
        for text in ["", "7", "x-1", "abc-", "abc-x", "abc-18446744073709551615"] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_happened_is_called_by_what_it_means() {
        use Status::{Muted, Open, Regressed, Resolved};
        for (from, to, what) in [
            (None, Some(Open), Some(What::New)),
            (Some(Resolved), Some(Regressed), Some(What::Regressed)),
            (Some(Open), Some(Resolved), Some(What::Resolved)),
            (Some(Regressed), Some(Open), Some(What::Reopened)),
            (Some(Open), Some(Muted), Some(What::Muted)),
            (Some(Muted), Some(Open), Some(What::Unmuted)),
            (Some(Muted), Some(Resolved), Some(What::Unmuted)),
            (Some(Muted), Some(Regressed), Some(What::Regressed)),
            (Some(Open), None, Some(What::Gone)),
            (Some(Open), Some(Open), None),
        ] {
            assert_eq!(What::of(from, to), what, "{from:?} {to:?}");
        }
    }

    #[tokio::test]
    async fn a_listener_wakes_up_when_something_is_told_and_ends_when_it_is_closed() {
        let events = events();
        let mut listener = events.listen(None);
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(3_600));
        events.changed();
        events.tell(happened(1));
        assert_eq!(listener.wait(later).await, Woken::Told);
        assert_eq!(told(&mut listener, &events).len(), 1);
        assert_eq!(listener.wait(now).await, Woken::Changed);
        events.changed();
        events.close();
        assert_eq!(listener.wait(later).await, Woken::Closed);
    }
}
