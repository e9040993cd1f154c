//! When to read the files: when the kernel says so, and from time to time.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::TargetGroup;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Interval, MissedTickBehavior, Sleep, interval, sleep};

use super::{FileConfig, Files, Pattern, REFRESH_INTERVAL};
use crate::known::Known;
use crate::polling::Found;

/// A file that is being written tells so several times, and between the first and the last it may
/// be empty, which would mean "no targets": reading waits for this long.
const SETTLE: Duration = Duration::from_millis(50);

/// Reads files when they change.
///
/// The directories are watched rather than the files, so that a file may be replaced by renaming,
/// vanish and come back. Where watching fails (network file systems, too many watches), the
/// interval remains.
pub struct FileDiscovery {
    state: State,
    ticks: Interval,
    changes: Arc<Notify>,
    known: Known,
    errors: VecDeque<DiscoveryError>,
}

/// What goes on is kept here, so that a cancelled `next` loses nothing of it.
enum State {
    Waiting(Option<Reader>),
    Settling(Option<Reader>, Pin<Box<Sleep>>),
    Reading(JoinHandle<(Reader, Found)>),
    /// Reading has panicked. It must not, and going on would be without memory of what was told.
    Broken,
}

impl FileDiscovery {
    /// Watches the configured files. Must be called within a Tokio runtime; nothing is read yet.
    pub fn new(config: FileConfig) -> Self {
        let every = match config.refresh_interval {
            Duration::ZERO => REFRESH_INTERVAL,
            interval => interval,
        };
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let changes = Arc::new(Notify::new());
        let reader = Reader {
            patterns: config.files,
            files: Files::default(),
            watcher: watcher(&changes),
            watched: BTreeSet::new(),
        };
        Self {
            state: State::Waiting(Some(reader)),
            ticks,
            changes,
            known: Known::default(),
            errors: VecDeque::new(),
        }
    }

    /// Waits until the files should be read, and reads them.
    async fn read(&mut self) -> Found {
        loop {
            match &mut self.state {
                State::Waiting(reader) => {
                    let settle = tokio::select! {
                        _ = self.ticks.tick() => Duration::ZERO,
                        () = self.changes.notified() => SETTLE,
                    };
                    self.state = State::Settling(reader.take(), Box::pin(sleep(settle)));
                }
                State::Settling(reader, settled) => {
                    settled.await;
                    self.state = match reader.take() {
                        Some(reader) => State::Reading(spawn_blocking(|| reader.read())),
                        None => State::Broken,
                    };
                }
                State::Reading(reading) => match reading.await {
                    Ok((reader, found)) => {
                        self.state = State::Waiting(Some(reader));
                        return found;
                    }
                    Err(_) => self.state = State::Broken,
                },
                State::Broken => return std::future::pending().await,
            }
        }
    }
}

#[async_trait]
impl Discovery for FileDiscovery {
    async fn next(&mut self) -> Result<Vec<TargetGroup>, DiscoveryError> {
        loop {
            if let Some(error) = self.errors.pop_front() {
                return Err(error);
            }
            let mut found = self.read().await;
            let told = self.known.update(&mut found);
            self.errors.extend(found.errors);
            if let Some(groups) = told {
                return Ok(groups);
            }
        }
    }
}

/// What blocks: file systems may be slow.
struct Reader {
    patterns: Vec<Pattern>,
    files: Files,
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Reader {
    /// Watches before it reads, so that no change falls between the two.
    fn read(mut self) -> (Self, Found) {
        self.watch();
        let found = self.files.read(&self.patterns);
        (self, found)
    }

    /// Every time again: a directory that was removed and made anew is another one.
    fn watch(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let directories: BTreeSet<PathBuf> =
            self.patterns.iter().flat_map(Pattern::directories).collect();
        for gone in self.watched.difference(&directories) {
            // It does not matter whether the kernel has forgotten it already.
            let _ = watcher.unwatch(gone);
        }
        self.watched.clear();
        for directory in directories {
            match watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(directory);
                }
                Err(error) => {
                    tracing::warn!(directory = %directory.display(), %error, "cannot be watched");
                }
            }
        }
    }
}

fn watcher(changes: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let changes = changes.clone();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error may mean that events were lost.
        if event.is_ok_and(|event| is_idle(event.kind)) {
            return;
        }
        changes.notify_one();
    });
    watcher
        .inspect_err(|error| tracing::warn!(%error, "files are read from time to time only"))
        .ok()
}

/// Whether an event says nothing about content; reading is such an event itself.
fn is_idle(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access != AccessKind::Close(AccessMode::Write),
        EventKind::Modify(ModifyKind::Metadata(_)) => true,
        _ => false,
    }
}
