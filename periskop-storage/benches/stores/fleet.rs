//! Instances that report.

use std::ops::Range;
use std::time::Duration;

use periskop_core::target::Labels;
use periskop_core::testing::jvm::Payloads;
use periskop_core::{Delta, Observer, ReplicaId, Report, ServiceName, Settings, Timestamp};

/// A fleet, and what its observer makes of it.
pub(super) struct Fleet {
    observer: Observer,
    made: Payloads,
    now: Timestamp,
    /// What the instances reported last: of each error the last occurrence.
    reports: Vec<Report>,
}

impl Fleet {
    pub(super) fn new() -> Self {
        let now = Timestamp::from_micros(1_772_323_200_000_000);
        let observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
        Self { observer, made: Payloads::new(), now, reports: Vec::new() }
    }

    /// One more instance.
    pub(super) fn begin(&mut self) -> Delta {
        let instance = self.reports.len();
        let report = self.made.report(instance, self.now);
        let mut last = report.clone();
        for error in &mut last.errors {
            error.occurrences.drain(..Payloads::OCCURRENCES - 1);
        }
        self.reports.push(last);
        self.scrape(instance, report)
    }

    pub(super) fn instances(&self) -> usize {
        self.reports.len()
    }

    /// All errors of these instances happen once more.
    pub(super) fn grow(&mut self, instances: Range<usize>) -> Delta {
        let mut delta = Delta::default();
        for instance in instances {
            let report = std::mem::take(&mut self.reports[instance]);
            let later = self.now.plus(Duration::from_secs(60));
            let report = self.made.grown(report, later);
            self.reports[instance] = report.clone();
            delta.append(self.scrape(instance, report));
        }
        delta
    }

    fn scrape(&mut self, instance: usize, report: Report) -> Delta {
        self.now = self.now.plus(Duration::from_millis(100));
        let service = ServiceName::from(format!("service-{}", instance / 100));
        let url = format!("http://10.0.{}.{}:8080/-/exceptions", instance / 250, instance % 250);
        let labels = Labels::from([("instance", &url[7..]), ("zone", "a")]);
        self.observer.scraped(self.now, &service, &url, &labels, report)
    }
}
