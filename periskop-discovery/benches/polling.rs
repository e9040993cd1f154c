//! What it costs to see what has changed since the last look.
//!
//! `cargo bench -p periskop-discovery --bench polling` (`-- --targets 10000` for fewer than 100,000) lets
//! a mechanism find as many targets again and again, all in one group or each in a group of its own,
//! and prints what [`Polling`] takes until it tells what is new.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may fail")]

use std::time::{Duration, Instant};

use async_trait::async_trait;
use periskop_core::discovery::{Discovery as _, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use periskop_discovery::{Found, Polling, Refresh};
use tokio::sync::mpsc;

/// Finds what it is given, and says when.
struct Given(mpsc::UnboundedReceiver<Vec<TargetGroup>>, mpsc::UnboundedSender<Instant>);

#[async_trait]
impl Refresh for Given {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let groups = self.0.recv().await.unwrap();
        self.1.send(Instant::now()).unwrap();
        Ok(groups.into())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let count = asked_for();
    let begin = Instant::now();
    let copy = group(0..count);
    println!("{count} targets, made in {:.1} ms", ms(begin.elapsed()));
    let begin = Instant::now();
    let copy = (copy.clone(), copy);
    println!("{:<44} {:>9.1} ms", "to copy them", ms(begin.elapsed()));
    drop(copy);
    measure("one group", count, &|change| {
        let mut group = group(0..count);
        if let Some(n) = change {
            group.targets[n].insert("__meta_ec2_tag_Note", "changed");
        }
        vec![group]
    })
    .await;
    measure("a group for each target", count, &|change| {
        let of = |n: usize| TargetGroup { source: n.to_string(), ..group(n..n + 1) };
        let mut groups: Vec<_> = (0..count).map(of).collect();
        if let Some(n) = change {
            groups[n].targets[0].insert("__meta_ec2_tag_Note", "changed");
        }
        groups
    })
    .await;
}

async fn measure(name: &str, count: usize, make: &dyn Fn(Option<usize>) -> Vec<TargetGroup>) {
    let before = resident();
    let (give, given) = mpsc::unbounded_channel();
    let (say, mut when) = mpsc::unbounded_channel();
    let mut polling = Polling::new(Given(given, say), Duration::from_millis(1));
    let mut look = async |change: Option<usize>| {
        give.send(make(change)).unwrap();
        let told = polling.next().await.unwrap();
        (when.recv().await.unwrap().elapsed(), told.len())
    };
    let (first, told) = look(None).await;
    println!("{name}: first look{:>30.1} ms, {told} told", ms(first));
    let mut times = Vec::new();
    for round in 1..=7 {
        let (taken, told) = look(Some(count / 10 * round)).await;
        assert!(told <= 2);
        times.push(taken);
    }
    // The best: what else the machine does is no cost of ours.
    println!("{name}: one changed{:>29.1} ms", ms(*times.iter().min().unwrap()));
    println!("{name}: held{:>36} MB", resident().saturating_sub(before) >> 20);
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn group(instances: std::ops::Range<usize>) -> TargetGroup {
    TargetGroup {
        source: "eu-west-1".to_owned(),
        targets: instances.map(instance).collect(),
        labels: Labels::new(),
    }
}

/// What EC2 tells of one, about as much.
fn instance(n: usize) -> Labels {
    let address = format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255);
    let mut labels = Labels::from([
        ("__address__", format!("{address}:80")),
        ("__meta_ec2_instance_id", format!("i-{n:017x}")),
        ("__meta_ec2_private_dns_name", format!("ip-{}.eu-west-1", address.replace('.', "-"))),
        ("__meta_ec2_private_ip", address),
        ("__meta_ec2_tag_Name", format!("app-{}-{n}", n % 200)),
    ]);
    for name in [
        "ami",
        "architecture",
        "availability_zone",
        "availability_zone_id",
        "instance_state",
        "instance_type",
        "owner_id",
        "primary_subnet_id",
        "region",
        "subnet_id",
        "tag_App",
        "tag_Environment",
        "tag_Team",
        "tag_cell",
        "tag_tier",
        "vpc_id",
    ] {
        labels.insert(format!("__meta_ec2_{name}"), format!("{name}-0123456789"));
    }
    labels
}

fn asked_for() -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--targets").skip(1);
    arguments.next().map_or(100_000, |n| n.parse().expect("--targets takes a number"))
}

/// Resident memory in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
