//! Wall time and the processor time of all threads, side by side: a machine that others use tells
//! more by the second.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div};
use std::time::Instant;

/// Both in seconds.
#[derive(Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) wall: f64,
    pub(super) cpu: f64,
}

/// Measures from its start on.
pub(super) struct Watch {
    begun: Instant,
    cpu: f64,
}

impl Watch {
    pub(super) fn start() -> Self {
        Self { begun: Instant::now(), cpu: cpu() }
    }

    pub(super) fn stop(self) -> Spent {
        Spent { wall: self.begun.elapsed().as_secs_f64(), cpu: cpu() - self.cpu }
    }
}

/// Of all threads since the process began: the kernel counts hundredths of a second.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wall {
            1.0.. => write!(f, "{:.2} s, cpu {:.2} s", self.wall, self.cpu),
            _ => write!(f, "{:.1} ms, cpu {:.0} ms", self.wall * 1e3, self.cpu * 1e3),
        }
    }
}

impl Add for Spent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { wall: self.wall + other.wall, cpu: self.cpu + other.cpu }
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Div<f64> for Spent {
    type Output = Self;

    fn div(self, by: f64) -> Self {
        Self { wall: self.wall / by, cpu: self.cpu / by }
    }
}

impl Sum for Spent {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}
