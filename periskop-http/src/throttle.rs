//! Who has failed to say who they are, and how long they wait for the next attempt.
//!
//! Pure: the time is an argument. Invariant: memory is bounded, whoever sends whatever.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Attempts that cost nothing: people mistype.
const FREE: u32 = 3;

/// The delay after the first attempt that is not free; it doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(8);

/// Attempts of one client that wait; further ones are refused at once.
const WAITING: u32 = 3;

/// Failures are forgotten when none has followed for so long.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);

/// Clients that are remembered. With more, those go first whose last failure is the oldest.
const CLIENTS: usize = 10_000;

/// Whom failures are counted for: an address, or the network of an IPv6 one, of which its owner has
/// 2^64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Client(IpAddr);

impl Client {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let network = u128::from(v6) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            v4 => v4,
        })
    }

    /// For a digest.
    pub(crate) fn bytes(self) -> [u8; 16] {
        match self.0 {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        }
    }
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It may be looked at after this time, which may be zero. Whoever waits must call
    /// [`Throttle::waited`], then [`Throttle::ended`].
    After(Duration),
    /// It is refused, and the next one need not come before this time is over.
    Refused(Duration),
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    clients: HashMap<Client, Record>,
}

#[derive(Debug)]
struct Record {
    failures: u32,
    /// Attempts that are not decided yet: many at once are no way around the delay.
    pending: u32,
    waiting: u32,
    /// When the next attempt may be looked at.
    next: Instant,
    last: Instant,
}

impl Throttle {
    /// A client makes an attempt.
    pub(crate) fn attempt(&mut self, now: Instant, client: Client) -> Turn {
        if !self.clients.contains_key(&client) && self.clients.len() >= CLIENTS {
            self.make_room(now);
        }
        let record = self.clients.entry(client).or_insert(Record {
            failures: 0,
            pending: 0,
            waiting: 0,
            next: now,
            last: now,
        });
        if record.failures > 0 && record.pending == 0 && is_forgotten(record, now) {
            record.failures = 0;
            record.next = now;
        }
        let begin = record.next.max(now);
        let wait = begin.duration_since(now);
        if !wait.is_zero() && record.waiting >= WAITING {
            return Turn::Refused(wait);
        }
        record.next = begin + delay(record.failures.saturating_add(record.pending));
        record.pending += 1;
        record.waiting += u32::from(!wait.is_zero());
        record.last = now;
        Turn::After(wait)
    }

    /// The client waits no longer.
    pub(crate) fn waited(&mut self, client: Client) {
        if let Some(record) = self.clients.get_mut(&client) {
            record.waiting = record.waiting.saturating_sub(1);
        }
    }

    /// An attempt was decided, or given up; answers how many have failed by now. A good one does
    /// not make up for those before it, or whoever has one credential could guess others.
    pub(crate) fn ended(&mut self, now: Instant, client: Client, has_failed: bool) -> u32 {
        let Some(record) = self.clients.get_mut(&client) else { return 0 };
        record.pending = record.pending.saturating_sub(1);
        if has_failed {
            record.failures = record.failures.saturating_add(1);
            record.last = now;
        } else if record.failures == 0 && record.pending == 0 {
            self.clients.remove(&client);
            return 0;
        }
        record.failures
    }

    fn make_room(&mut self, now: Instant) {
        self.clients.retain(|_, record| record.pending > 0 || !is_forgotten(record, now));
        if self.clients.len() < CLIENTS {
            return;
        }
        // A tenth at once, so that not every further client costs a walk.
        let mut ages: Vec<Instant> = self.clients.values().map(|record| record.last).collect();
        let (_, oldest, _) = ages.select_nth_unstable(CLIENTS / 10);
        let oldest = *oldest;
        self.clients.retain(|_, record| record.pending > 0 || record.last > oldest);
        if self.clients.len() >= CLIENTS {
            // All of them are being looked at, which connections bound.
            self.clients.clear();
        }
    }
}

fn is_forgotten(record: &Record, now: Instant) -> bool {
    now.duration_since(record.last) >= FORGET_AFTER
}

fn delay(failures: u32) -> Duration {
    let Some(beyond) = (failures + 1).checked_sub(FREE) else { return Duration::ZERO };
    FIRST_DELAY.saturating_mul(1 << beyond.min(16)).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u32) -> Client {
        Client::of(IpAddr::from(n.to_be_bytes()))
    }

    /// Attempts one after the other that all fail: when each is looked at.
    fn fail(throttle: &mut Throttle, mut now: Instant, who: Client, times: u32) -> Vec<Duration> {
        let mut waits = Vec::new();
        for _ in 0..times {
            let Turn::After(wait) = throttle.attempt(now, who) else { panic!("nobody waits") };
            now += wait;
            if !wait.is_zero() {
                throttle.waited(who);
            }
            throttle.ended(now, who, true);
            waits.push(wait);
        }
        waits
    }

    #[test]
    fn some_mistakes_are_free_and_further_ones_cost_more_and_more() {
        let waits = fail(&mut Throttle::default(), Instant::now(), client(1), 12);
        let millis: Vec<_> = waits.iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [0, 0, 0, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000, 8000]);
    }

    #[test]
    fn a_neighbour_does_not_wait() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        fail(&mut throttle, now, client(1), 10);
        assert_eq!(throttle.attempt(now, client(2)), Turn::After(Duration::ZERO));
    }

    #[test]
    fn many_attempts_at_once_are_no_way_around() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let turns: Vec<_> = (0..10).map(|_| throttle.attempt(now, client(1))).collect();
        let at_once = turns.iter().filter(|turn| **turn == Turn::After(Duration::ZERO)).count();
        let refused = turns.iter().filter(|turn| matches!(turn, Turn::Refused(_))).count();
        assert_eq!((at_once, refused), (3, 4), "{turns:?}");
    }

    #[test]
    fn a_good_attempt_does_not_buy_further_guesses() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        fail(&mut throttle, now, client(1), 6);
        let later = now + Duration::from_secs(60);
        assert_eq!(throttle.attempt(later, client(1)), Turn::After(Duration::ZERO));
        throttle.ended(later, client(1), false);
        assert_ne!(throttle.attempt(later, client(1)), Turn::After(Duration::ZERO));
    }

    #[test]
    fn failures_are_forgotten_in_time() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        fail(&mut throttle, now, client(1), 12);
        let waits = fail(&mut throttle, now + 2 * FORGET_AFTER, client(1), 2);
        assert_eq!(waits, [Duration::ZERO; 2]);
    }

    #[test]
    fn a_client_that_never_failed_is_not_kept() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        throttle.attempt(now, client(1));
        throttle.ended(now, client(1), false);
        assert!(throttle.clients.is_empty());
    }

    #[test]
    fn however_many_fail_few_are_kept_and_the_latest_are_among_them() {
        let (mut throttle, mut now) = (Throttle::default(), Instant::now());
        for n in 0..25_000 {
            now += Duration::from_millis(1);
            fail(&mut throttle, now, client(n), 1);
        }
        assert!(throttle.clients.len() <= CLIENTS);
        assert!(throttle.clients.contains_key(&client(24_999)));
        assert!(!throttle.clients.contains_key(&client(0)));
    }

    #[test]
    fn an_ipv6_network_is_one_client_and_a_mapped_address_is_its_ipv4_one() {
        let of = |text: &str| Client::of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
