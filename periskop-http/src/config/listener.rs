//! `limits` and `rate_limit`.

use std::time::Duration;

use periskop_core::config::{At, Fields, Problems, format_duration};

use super::RateLimit;
use crate::limits::Limits;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn limits(at: &At<'_>, problems: &mut Problems) -> Option<Limits> {
    let default = Limits::default();
    let mut fields = Fields::new(at, problems)?;
    let limits = Limits {
        connections: fields
            .uint_within("connections", 1..=1_000_000)
            .unwrap_or(default.connections),
        // hyper needs 8 KiB for its buffer.
        header_bytes: fields
            .uint_within("header_bytes", 8 * 1024..=1024 * 1024)
            .unwrap_or(default.header_bytes),
        headers: fields.uint_within("headers", 10..=10_000).unwrap_or(default.headers),
        header_timeout: time(&mut fields, "header_timeout").unwrap_or(default.header_timeout),
        write_timeout: time(&mut fields, "write_timeout").unwrap_or(default.write_timeout),
        idle_timeout: time(&mut fields, "idle_timeout").unwrap_or(default.idle_timeout),
        grace: default.grace,
    };
    fields.finish();
    Some(limits)
}

/// `None` for an interval of zero, which turns it off.
pub(super) fn rate_limit(at: &At<'_>, problems: &mut Problems) -> Option<Option<RateLimit>> {
    let mut fields = Fields::new(at, problems)?;
    let interval = fields.go_duration("interval").unwrap_or_default();
    let burst = fields.uint_within("burst", 0..=1_000_000_u32).unwrap_or(0);
    if interval > HOUR {
        fields.problem("interval", "must not be above 1h");
    }
    if !interval.is_zero() && burst == 0 {
        fields.problem("burst", "must be above 0, or no request would ever be let through");
    }
    fields.finish();
    Some((!interval.is_zero()).then_some(RateLimit { interval, burst }))
}

fn time(fields: &mut Fields<'_, '_>, name: &'static str) -> Option<Duration> {
    let given = fields.duration(name)?;
    if (SECOND..=HOUR).contains(&given) {
        return Some(given);
    }
    let (least, most) = (format_duration(SECOND), format_duration(HOUR));
    fields.problem(name, format!("must be {least} to {most}"));
    None
}
