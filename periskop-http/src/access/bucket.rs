//! A limit on all requests together: a bucket of tokens, as Prometheus's `rate_limit`.

use std::time::{Duration, Instant};

use crate::config::RateLimit;

/// See the [module](self). Kept as the time at which the bucket will be full: that needs no
/// arithmetic of fractions.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes a token, or says when there will be one.
    pub(super) fn take(&mut self, now: Instant, limit: RateLimit) -> Result<(), Duration> {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + limit.interval;
        let spent = full_at - now;
        let most = limit.interval * limit.burst;
        if spent > most {
            return Err(spent - most);
        }
        self.full_at = Some(full_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_one_each_interval() {
        let limit = RateLimit { interval: Duration::from_secs(1), burst: 3 };
        let (mut bucket, now) = (Bucket::default(), Instant::now());
        let taken =
            |bucket: &mut Bucket, at| (0..9).filter(|_| bucket.take(at, limit).is_ok()).count();
        assert_eq!(taken(&mut bucket, now), 3);
        assert_eq!(bucket.take(now, limit), Err(Duration::from_secs(1)));
        assert_eq!(taken(&mut bucket, now + Duration::from_secs(2)), 2);
        assert_eq!(taken(&mut bucket, now + Duration::from_secs(60)), 3, "it does not overflow");
    }
}
