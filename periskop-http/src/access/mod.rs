//! Who somebody is, and whether they may.
//!
//! A credential that a client has shown before is recognised by a keyed digest and costs nothing.
//! Any other one waits its client's turn ([`throttle`](crate::throttle)) and is then checked: tokens by
//! their digests in constant time, passwords by bcrypt away from the threads that serve. A name that
//! is not known costs a bcrypt as well.

mod bucket;
mod memory;
mod rules;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::sync::{OnceCell, Semaphore};

use self::bucket::Bucket;
use self::memory::{Digest, Memory};
use self::rules::Rules;
use crate::config::WebConfig;
use crate::credential::{Credential, Malformed};
use crate::role::{Role, Roles};
use crate::throttle::{Client, Throttle, Turn};

/// Passwords that are checked at a time; each takes a processor for a tenth of a second or more.
const CHECKS: usize = 2;

/// Passwords that wait for a check; further ones are refused.
const CHECKS_WAITING: usize = 64;

/// Somebody, as far as that is known; in the extensions of every request that is let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    name: Option<Arc<str>>,
    roles: Roles,
}

impl Principal {
    /// Somebody of this name.
    pub fn new(name: &str, roles: Roles) -> Self {
        Self { name: Some(name.into()), roles }
    }

    /// Nobody in particular.
    pub fn anonymous(roles: Roles) -> Self {
        Self { name: None, roles }
    }

    /// The name that authenticated: of a user or a token; without either that of a verified
    /// certificate, where there is one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What they may do.
    pub fn roles(&self) -> Roles {
        self.roles
    }
}

/// Why a request was refused before it reached a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It carries no credential and needs one.
    NoCredential,
    /// Its credential is wrong, or cannot be understood.
    WrongCredential,
    /// Its credential is right, and does not allow this.
    Role,
    /// Its client has failed too often.
    Throttled,
    /// There are too many requests of everybody.
    RateLimit,
    /// It is for another name than loopback's.
    Host,
    /// A page of another origin sent it.
    Origin,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NoCredential,
        Self::WrongCredential,
        Self::Role,
        Self::Throttled,
        Self::RateLimit,
        Self::Host,
        Self::Origin,
    ];

    /// A word for a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::WrongCredential => "wrong_credential",
            Self::Role => "role",
            Self::Throttled => "throttled",
            Self::RateLimit => "rate_limit",
            Self::Host => "host",
            Self::Origin => "origin",
        }
    }
}

/// The credentials that are known, and what has been seen of them. Cheap to clone; clones are the
/// same.
#[derive(Clone)]
pub struct Access(Arc<Shared>);

struct Shared {
    rules: RwLock<Arc<Rules>>,
    memory: Mutex<Memory>,
    throttle: Mutex<Throttle>,
    bucket: Mutex<Bucket>,
    /// Credentials that are being checked: a second request with the same one waits for the first.
    under_way: Mutex<HashMap<Digest, Arc<OnceCell<Outcome>>>>,
    checks: Semaphore,
    checks_waiting: AtomicUsize,
    /// Of this process: digests say nothing to anybody else.
    key: [u8; 32],
}

/// What became of a credential.
#[derive(Clone, Debug)]
enum Outcome {
    Known(Principal),
    Wrong,
    Refused(Duration),
}

/// A refusal, and when it is worth trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) refusal: Refusal,
    pub(crate) need: Role,
    pub(crate) retry_after: Option<Duration>,
}

impl Access {
    /// Credentials as configured. A token whose file cannot be read is not known until it can;
    /// [`WebConfig::check_files`] tells of that. Blocks for the files.
    pub fn new(web: &WebConfig) -> Self {
        Self(Arc::new(Shared {
            rules: RwLock::new(Arc::new(Rules::new(web, None))),
            memory: Mutex::default(),
            throttle: Mutex::default(),
            bucket: Mutex::default(),
            under_way: Mutex::default(),
            checks: Semaphore::new(CHECKS),
            checks_waiting: AtomicUsize::new(0),
            key: rand::random(),
        }))
    }

    /// Takes other credentials over, from the next request on. Failures stay counted. Blocks for the
    /// files.
    pub fn replace(&self, web: &WebConfig) {
        let before = self.rules();
        let rules = Arc::new(Rules::new(web, Some(&before)));
        *self.0.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        self.memory().forget();
    }

    /// Whether nobody is asked who they are.
    pub fn is_open(&self) -> bool {
        self.rules().is_open
    }

    /// Whether somebody without a credential may do what needs `need`.
    pub fn is_open_for(&self, need: Role) -> bool {
        self.rules().anonymous.allow(need)
    }

    /// Who may do what, in a line for people: at the start, on the status page.
    pub fn in_words(&self) -> String {
        self.rules().in_words.clone()
    }

    /// Finds out who sends a request, and whether they may do what needs `need`. `certificate` is
    /// the name in a verified certificate.
    pub(crate) async fn decide(
        &self,
        need: Role,
        headers: &HeaderMap,
        address: Option<IpAddr>,
        certificate: Option<&str>,
    ) -> Result<Principal, Denial> {
        let denied = |refusal, retry_after| Denial { refusal, need, retry_after };
        let rules = self.rules();
        if let Some(limit) = rules.rate_limit {
            let mut bucket = self.0.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(now(), limit).map_err(|wait| denied(Refusal::RateLimit, Some(wait)))?;
        }
        let anonymous = || Principal {
            // A certificate says who it is, and gives no role: what everybody may do is configured.
            name: certificate.map(Into::into),
            roles: rules.anonymous,
        };
        let values = headers.get_all(header::AUTHORIZATION);
        let sent = Credential::parse(values.iter().map(HeaderValue::as_bytes));
        if rules.has_none || matches!(sent, Ok(None)) {
            let anonymous = anonymous();
            return match anonymous.roles.allow(need) {
                true => Ok(anonymous),
                false if rules.has_none => Err(denied(Refusal::Role, None)),
                false => Err(denied(Refusal::NoCredential, None)),
            };
        }
        let client = Client::of(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        match self.identify(rules, client, sent).await {
            Outcome::Known(principal) if principal.roles.allow(need) => Ok(principal),
            Outcome::Known(_) => Err(denied(Refusal::Role, None)),
            Outcome::Wrong => Err(denied(Refusal::WrongCredential, None)),
            Outcome::Refused(wait) => Err(denied(Refusal::Throttled, Some(wait))),
        }
    }

    /// `WWW-Authenticate`: what could be sent. Basic only where somebody has a password, since a
    /// browser asks for one.
    pub(crate) fn challenges(&self) -> Vec<HeaderValue> {
        let rules = self.rules();
        let basic = (!rules.users.is_empty())
            .then_some(HeaderValue::from_static("Basic realm=\"periskop\", charset=\"UTF-8\""));
        let bearer = (!rules.tokens.is_empty())
            .then_some(HeaderValue::from_static("Bearer realm=\"periskop\""));
        basic.into_iter().chain(bearer).collect()
    }

    /// Headers that every answer is to have.
    pub(crate) fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.rules().headers.clone()
    }

    async fn identify(
        &self,
        rules: Arc<Rules>,
        client: Client,
        sent: Result<Option<Credential>, Malformed>,
    ) -> Outcome {
        let Ok(Some(credential)) = sent else {
            // It costs no check, and counts as an attempt like any other.
            return self.in_turn(client, async { Outcome::Wrong }).await;
        };
        if matches!(credential, Credential::Bearer(_)) && rules.refresh(now()).await {
            self.memory().forget();
        }
        let digest = Digest::of(&self.0.key, client, &credential);
        let epoch = {
            let memory = self.memory();
            if let Some(principal) = memory.recall(&digest) {
                return Outcome::Known(principal);
            }
            memory.epoch()
        };
        let check = Check { access: self, digest, cell: self.begin(digest) };
        let checked =
            check.cell.get_or_init(|| self.in_turn(client, self.check(&rules, &credential)));
        let outcome = checked.await.clone();
        if let Outcome::Known(principal) = &outcome {
            self.memory().remember(epoch, digest, principal.clone());
        }
        outcome
    }

    /// Begins a check, or joins the one that is under way.
    fn begin(&self, digest: Digest) -> Arc<OnceCell<Outcome>> {
        Arc::clone(self.under_way().entry(digest).or_default())
    }

    /// Checks when it is the client's turn, and notes how that ended.
    async fn in_turn(&self, client: Client, check: impl Future<Output = Outcome>) -> Outcome {
        let wait = match self.throttle().attempt(now(), client) {
            Turn::Refused(wait) => return Outcome::Refused(wait),
            Turn::After(wait) => wait,
        };
        let mut attempt = Attempt { access: self, client, waits: !wait.is_zero(), failed: false };
        if attempt.waits {
            tokio::time::sleep(wait).await;
            attempt.waited();
        }
        let outcome = check.await;
        attempt.failed = matches!(outcome, Outcome::Wrong);
        outcome
    }

    async fn check(&self, rules: &Arc<Rules>, credential: &Credential) -> Outcome {
        let known = match credential {
            Credential::Bearer(token) => rules.holder_of(token),
            Credential::Basic { user, password } => {
                let queue = Queue::enter(&self.0.checks_waiting);
                let Some(_place) = queue else { return Outcome::Refused(Duration::from_secs(1)) };
                // It is never closed.
                let Ok(_permit) = self.0.checks.acquire().await else { return Outcome::Wrong };
                let (rules, user, password) = (Arc::clone(rules), user.clone(), password.clone());
                let key = self.0.key;
                let checked = move || rules.verify(&key, &user, &password);
                // It fails only while the runtime ends.
                tokio::task::spawn_blocking(checked).await.ok().flatten()
            }
        };
        known.map_or(Outcome::Wrong, Outcome::Known)
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.0.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.0.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Digest, Arc<OnceCell<Outcome>>>> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Access").field(&self.in_words()).finish()
    }
}

/// Somebody who waits for a check; the last one puts it away, also when its client hangs up.
struct Check<'a> {
    access: &'a Access,
    digest: Digest,
    cell: Arc<OnceCell<Outcome>>,
}

impl Drop for Check<'_> {
    fn drop(&mut self) {
        let mut under_way = self.access.under_way();
        // The map's and ours; others are only made while it is locked.
        if Arc::strong_count(&self.cell) <= 2 {
            under_way.remove(&self.digest);
        }
    }
}

/// An attempt under way. A client that hangs up ends it too.
struct Attempt<'a> {
    access: &'a Access,
    client: Client,
    waits: bool,
    failed: bool,
}

impl Attempt<'_> {
    fn waited(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.access.throttle().waited(self.client);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.waited();
        let failures = self.access.throttle().ended(now(), self.client, self.failed);
        // Ever more rarely, so that guessing fills no disk.
        if self.failed && failures.is_power_of_two() {
            tracing::warn!(client = %self.client, failures, "a credential was wrong");
        }
    }
}

/// A place among those who wait for a check.
struct Queue<'a>(&'a AtomicUsize);

impl<'a> Queue<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < CHECKS_WAITING + CHECKS).then_some(place)
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tokio's clock, so that tests need not wait.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
