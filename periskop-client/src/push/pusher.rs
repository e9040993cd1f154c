//! Pushing in the background.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use periskop_core::Timestamp;

use super::error::PushError;
use super::gateway::{Gateway, elsewhere};
use super::schedule::{Pace, Schedule};
use crate::collector::Listener;
use crate::{Collector, ambient};

/// Pushes what a collector counts, in a thread of its own, until it is shut down or dropped.
///
/// Whoever reports never waits for it. What is counted together is pushed together; a push that
/// failed is tried again after 1, 2, 4 … seconds up to five minutes, or after what the gateway asks
/// for, and one that was refused as such (4xx but 408 and 429) once something has changed.
///
/// At the end what has not been pushed yet is, in bounded time: [`shutdown`](Self::shutdown) says
/// how it went, and dropping it takes two seconds at most. A `static` is never dropped.
///
/// In the child of a fork, where the thread is not, the first report starts another one. That takes
/// no lock of the parent's.
pub struct Pusher {
    background: Arc<Background>,
}

/// How long a drop may take, at most: somebody waits who did not ask for it.
const DROP: Duration = Duration::from_secs(2);

impl Pusher {
    /// A pusher to this gateway.
    pub fn builder(gateway: &Gateway) -> PusherBuilder {
        let pace = Pace { interval: Duration::from_secs(5), refresh: Duration::from_secs(300) };
        PusherBuilder { gateway: gateway.clone(), pace }
    }

    /// How it has gone so far, in this process.
    pub fn status(&self) -> PushStatus {
        PushStatus::clone(&self.background.status.load())
    }

    /// Ends it, and pushes what has not been pushed yet, for as long as `timeout` at most. Waits
    /// for that.
    ///
    /// # Errors
    ///
    /// The last push failed: what was counted since the one before is lost.
    pub fn shutdown(self, timeout: Duration) -> Result<(), PushError> {
        self.background.finish(timeout)
    }

    /// As [`shutdown`](Self::shutdown), for asynchronous callers of any runtime.
    ///
    /// # Errors
    ///
    /// The last push failed: what was counted since the one before is lost.
    pub fn shutdown_async(
        self,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), PushError>> + Send {
        elsewhere(move || self.shutdown(timeout))
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        // Nobody is there to be told; the status was.
        let _ = self.background.finish(DROP.min(self.background.gateway.timeout()));
    }
}

impl fmt::Debug for Pusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pusher")
            .field("gateway", &self.background.gateway)
            .field("status", &self.status())
            .finish()
    }
}

/// What a [`Pusher`] is made with.
#[derive(Debug)]
#[must_use = "a builder builds nothing by itself"]
pub struct PusherBuilder {
    gateway: Gateway,
    pace: Pace,
}

impl PusherBuilder {
    /// From one push to the next, at least; 5 seconds unless told.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.pace.interval = interval;
        self
    }

    /// From one push to the next, at most, though nothing has changed; 5 minutes unless told. A
    /// gateway that was restarted may have forgotten.
    pub fn refresh(mut self, refresh: Duration) -> Self {
        self.pace.refresh = refresh;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub fn spawn(self, collector: &Collector) -> Result<Pusher, PushError> {
        let (pid, _) = collector.changes();
        let background = Arc::new_cyclic(|this| Background {
            this: this.clone(),
            gateway: self.gateway,
            pace: self.pace,
            collector: collector.clone(),
            is_over: AtomicBool::new(false),
            runner: ArcSwap::from_pointee(Runner::new(pid, false)),
            status: ArcSwap::default(),
        });
        background.start(&background.runner.load_full()).map_err(no_thread)?;
        let listener: Arc<dyn Listener> = background.clone();
        collector.listen(&listener);
        // Only now: what is counted from here on is heard.
        let (pid, counted) = collector.changes();
        if counted > 0 {
            listener.counted(pid);
        }
        Ok(Pusher { background })
    }
}

/// How a [`Pusher`] has fared in this process.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PushStatus {
    /// Pushes that the gateway took.
    pub pushes: u64,
    /// Pushes that failed.
    pub failures: u64,
    /// When the gateway last took one.
    pub pushed_at: Option<Timestamp>,
    /// Why the last push failed; `None` if it did not.
    pub last_error: Option<PushError>,
}

struct Background {
    this: Weak<Self>,
    gateway: Gateway,
    pace: Pace,
    collector: Collector,
    is_over: AtomicBool,
    runner: ArcSwap<Runner>,
    status: ArcSwap<PushStatus>,
}

/// The thread that pushes for a process.
struct Runner {
    pid: u32,
    /// Whether something was counted that the thread has not taken notice of.
    is_waiting: AtomicBool,
    /// How much had been counted when the last push began that was taken.
    pushed: AtomicU64,
    thread: OnceLock<Thread>,
}

impl Runner {
    fn new(pid: u32, is_waiting: bool) -> Self {
        Self {
            pid,
            is_waiting: AtomicBool::new(is_waiting),
            pushed: AtomicU64::new(0),
            thread: OnceLock::new(),
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Listener for Background {
    fn counted(&self, pid: u32) {
        let runner = self.runner.load();
        if runner.pid == pid {
            // Once for all that comes until the thread looks.
            if !runner.is_waiting.swap(true, Ordering::AcqRel) {
                runner.wake();
            }
            return;
        }
        if self.is_over.load(Ordering::Acquire) {
            return;
        }
        let own = Arc::new(Runner::new(pid, true));
        let before = self.runner.compare_and_swap(&*runner, own.clone());
        if Arc::ptr_eq(&before, &runner) {
            self.status.store(Arc::default());
            if let Err(error) = self.start(&own) {
                self.note(&Err(no_thread(error)));
            }
        }
    }
}

impl Background {
    /// Starts the thread of `runner`.
    fn start(&self, runner: &Arc<Runner>) -> std::io::Result<()> {
        let Some(this) = self.this.upgrade() else { return Ok(()) };
        let own = runner.clone();
        let thread = thread::Builder::new().name(crate::PUSHER.into());
        let handle = thread.spawn(move || this.run(&own))?;
        // Set by nobody else.
        let _ = runner.thread.set(handle.thread().clone());
        // It may have gone to sleep before anybody could wake it.
        runner.wake();
        Ok(())
    }

    fn run(&self, runner: &Runner) {
        let begun = Instant::now();
        let mut schedule = Schedule::new(self.pace);
        while !self.is_over.load(Ordering::Acquire) {
            let now = begun.elapsed();
            if runner.is_waiting.swap(false, Ordering::AcqRel) {
                schedule.counted(now);
            }
            match schedule.due() {
                None => thread::park(),
                Some(due) if due > now => thread::park_timeout(due - now),
                Some(_) => {
                    schedule.begin(now);
                    match self.push(runner, self.gateway.timeout()) {
                        Ok(()) => schedule.succeeded(now),
                        Err(error) => schedule.failed(
                            begun.elapsed(),
                            error.is_temporary(),
                            error.retry_after(),
                            luck(),
                        ),
                    }
                }
            }
        }
    }

    /// Pushes, and notes how it went.
    fn push(&self, runner: &Runner, within: Duration) -> Result<(), PushError> {
        // What is counted between this and the export is pushed once more.
        let (_, counted) = self.collector.changes();
        let outcome = self.gateway.push_within(&self.collector, within);
        if outcome.is_ok() {
            runner.pushed.fetch_max(counted, Ordering::AcqRel);
        }
        self.note(&outcome);
        outcome
    }

    fn note(&self, outcome: &Result<(), PushError>) {
        self.status.rcu(|status| {
            let mut status = PushStatus::clone(status);
            match outcome {
                Ok(()) => {
                    status.pushes += 1;
                    status.pushed_at = Some(ambient::now());
                    status.last_error = None;
                }
                Err(error) => {
                    status.failures += 1;
                    status.last_error = Some(error.clone());
                }
            }
            status
        });
    }

    /// Stops the thread, and pushes what it has not pushed, itself: the thread may be waiting for a
    /// gateway that does not answer.
    fn finish(&self, within: Duration) -> Result<(), PushError> {
        if self.is_over.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let runner = self.runner.load_full();
        let (pid, counted) = self.collector.changes();
        if runner.pid != pid {
            // In a child that has counted nothing: the parent's thread is the parent's.
            return Ok(());
        }
        runner.wake();
        if counted == runner.pushed.load(Ordering::Acquire) {
            return Ok(());
        }
        self.push(&runner, within)
    }
}

fn no_thread(error: std::io::Error) -> PushError {
    PushError::NoThread(Arc::new(error))
}

/// Any number in 0..1.
fn luck() -> f64 {
    let bits = (ambient::random() >> 96) as u32; // the highest 32
    f64::from(bits) / f64::from(u32::MAX)
}
