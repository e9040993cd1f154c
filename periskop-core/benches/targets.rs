//! What it costs when targets change, against finding all of them for the first time.
//!
//! `cargo bench -p periskop-core --bench targets` (`-- --targets 10000` for fewer than 100,000) lets a
//! mechanism of one group tell all of it again whenever one target changes, as those of the clouds
//! do, and one of a group for each target tell that group, as Kubernetes does; both to a pool of
//! targets alone and to the engine, with ten rules of relabelling. The yardstick is the first
//! answer, which is all work.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may fail")]

use std::time::{Duration, Instant};

use periskop_core::config;
use periskop_core::engine::Engine;
use periskop_core::target::{Labels, NameScheme, Pool, RelabelConfig, ServiceSpec, TargetGroup};
use periskop_core::{Observer, ReplicaId, Settings, Timestamp};

/// As somebody may have them for EC2.
const RULES: &str = r"
- {source_labels: [__meta_ec2_instance_state], regex: pending|running, action: keep}
- {source_labels: [__meta_ec2_tag_periskop], regex: 'off|no', action: drop}
- {source_labels: [__meta_ec2_private_ip], regex: '(.+)', replacement: '$1:7778', target_label: __address__}
- {source_labels: [__meta_ec2_instance_id], target_label: instance}
- {source_labels: [__meta_ec2_availability_zone], regex: '([a-z]+-[a-z]+-\d)[a-z]', target_label: region}
- {source_labels: [__meta_ec2_tag_Team, __meta_ec2_tag_App], separator: /, target_label: owner}
- {source_labels: [__meta_ec2_tag_Environment], action: lowercase, target_label: environment}
- {regex: '__meta_ec2_tag_label_(.+)', action: labelmap}
- {source_labels: [instance], modulus: 16, target_label: shard, action: hashmod}
- {regex: 'aws_.*', action: labeldrop}
";

fn main() {
    let count = asked_for();
    println!("{count} targets of {} labels, 10 rules", instance(0).len() + 4);
    one_group(count);
    group_each(count);
    engine(count);
}

/// All targets in one group.
fn one_group(count: usize) {
    println!("\none group:");
    let mut pool = Pool::new(spec());
    let mut known = group("", 0..count);
    let yardstick = timed(known.clone(), |all| pool.update(0, vec![all]).added.len() == count);
    row("first answer", &[yardstick], yardstick);
    let mut rows = |name: &str, added: usize, change: &dyn Fn(usize, &mut Vec<Labels>)| {
        let times: Vec<_> = (1..=5)
            .map(|round| {
                change(round, &mut known.targets);
                timed(known.clone(), |told| pool.update(0, vec![told]).added.len() == added)
            })
            .collect();
        row(name, &times, yardstick);
    };
    let somewhere = |round: usize| count / 6 * round;
    rows("nothing changed", 0, &|_, _| {});
    rows("a label of one changed", 0, &|round, all| {
        all[somewhere(round)].insert("__meta_ec2_tag_Note", "changed");
    });
    rows("one replaced by another", 1, &|round, all| {
        all[somewhere(round)] = instance(count + round);
    });
    rows("two replaced by others", 2, &|round, all| {
        all[somewhere(round) + 1] = instance(2 * count + round);
        all[count - 1 - somewhere(round)] = instance(3 * count + round);
    });
    rows("one is gone", 0, &|round, all| drop(all.remove(somewhere(round))));
    rows("one replaced, in another order", 1, &|round, all| {
        all.rotate_left(count / 3);
        all.chunks_mut(7).for_each(<[Labels]>::reverse);
        all[somewhere(round)] = instance(4 * count + round);
    });
    rows("all have a new label", 0, &|round, all| {
        all.iter_mut().for_each(|labels| labels.insert("__meta_ec2_tag_Build", round.to_string()));
    });
}

/// Each target in a group of its own.
fn group_each(count: usize) {
    println!("\na group for each target:");
    let mut pool = Pool::new(spec());
    let all: Vec<_> = (0..count).map(|n| group(&n.to_string(), n..n + 1)).collect();
    let yardstick = timed(all, |all| pool.update(0, all).added.len() == count);
    row("first answer", &[yardstick], yardstick);
    let times: Vec<_> = (0..1_000)
        .map(|round| {
            let n = count / 1_000 * round;
            let told = group(&n.to_string(), n + count..n + count + 1);
            timed(told, |told| pool.update(0, vec![told]).added.len() == 1)
        })
        .collect();
    row("one replaced by another", &times, yardstick);
    let times: Vec<_> = (0..1_000)
        .map(|round| {
            let n = count / 1_000 * round;
            let told = group(&n.to_string(), 0..0);
            timed(told, |told| pool.update(0, vec![told]).removed.len() == 1)
        })
        .collect();
    row("one is gone", &times, yardstick);
}

/// The same with everything that the engine does about it.
fn engine(count: usize) {
    println!("\nengine:");
    let now = Timestamp::from_micros(1_772_323_200_000_000);
    for (name, each) in [("one group", false), ("a group for each target", true)] {
        let observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
        let mut engine = Engine::new(observer, now);
        engine.handle_services(now, vec![spec()]);
        let mut tell = |groups| {
            timed(groups, |groups| {
                engine.handle_groups(now, &"fleet".into(), 0, groups);
                engine.service(&"fleet".into()).unwrap().target_count() == count
            })
        };
        let mut all = match each {
            false => vec![group("", 0..count)],
            true => (0..count).map(|n| group(&n.to_string(), n..n + 1)).collect(),
        };
        let yardstick = tell(all.clone());
        row(&format!("{name}: first answer"), &[yardstick], yardstick);
        let times: Vec<_> = (1..=5)
            .map(|round| {
                let n = count / 6 * round;
                if each {
                    return tell(vec![group(&n.to_string(), n + count..n + count + 1)]);
                }
                all[0].targets[n] = instance(n + count);
                tell(all.clone())
            })
            .collect();
        row(&format!("{name}: one replaced"), &times, yardstick);
    }
}

fn row(name: &str, times: &[Duration], yardstick: Duration) {
    // The best: what else the machine does is no cost of ours.
    let best = times.iter().min().unwrap().as_secs_f64();
    println!(
        "{name:<40} {:>12.3} ms {:>10.5} of the first answer",
        best * 1e3,
        best / yardstick.as_secs_f64()
    );
}

/// How long `run` takes, which must be content.
fn timed<T>(given: T, run: impl FnOnce(T) -> bool) -> Duration {
    let begin = Instant::now();
    let is_right = run(given);
    let taken = begin.elapsed();
    assert!(is_right);
    taken
}

fn spec() -> ServiceSpec {
    let list = config::parse(RULES).unwrap();
    let relabel = config::decode(&list, |at, problems| {
        let items = at.items(problems)?;
        let rules = items.iter().map(|at| RelabelConfig::decode(at, NameScheme::Utf8, problems));
        rules.collect::<Option<Vec<_>>>()
    });
    ServiceSpec { relabel: relabel.unwrap(), ..ServiceSpec::new("fleet", vec![0]) }
}

fn group(source: &str, instances: std::ops::Range<usize>) -> TargetGroup {
    TargetGroup {
        source: source.to_owned(),
        targets: instances.map(instance).collect(),
        labels: Labels::new(),
    }
}

/// What EC2 tells of one, about as much.
fn instance(n: usize) -> Labels {
    let address = format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255);
    Labels::from([
        ("__address__", format!("{address}:80")),
        ("__meta_ec2_ami", "ami-0a1b2c3d4e5f60718".to_owned()),
        ("__meta_ec2_architecture", "x86_64".to_owned()),
        ("__meta_ec2_availability_zone", format!("eu-west-1{}", ["a", "b", "c"][n % 3])),
        ("__meta_ec2_availability_zone_id", format!("euw1-az{}", n % 3 + 1)),
        ("__meta_ec2_instance_id", format!("i-{n:017x}")),
        ("__meta_ec2_instance_state", "running".to_owned()),
        ("__meta_ec2_instance_type", "m7i.xlarge".to_owned()),
        ("__meta_ec2_owner_id", "123456789012".to_owned()),
        ("__meta_ec2_primary_subnet_id", format!("subnet-{:017x}", n % 50)),
        ("__meta_ec2_private_dns_name", format!("ip-{}.eu-west-1", address.replace('.', "-"))),
        ("__meta_ec2_private_ip", address),
        ("__meta_ec2_region", "eu-west-1".to_owned()),
        ("__meta_ec2_subnet_id", format!(",subnet-{:017x},", n % 50)),
        ("__meta_ec2_tag_App", format!("app-{}", n % 200)),
        ("__meta_ec2_tag_Environment", "Production".to_owned()),
        ("__meta_ec2_tag_Generation", (n % 3).to_string()),
        ("__meta_ec2_tag_Name", format!("app-{}-{n}", n % 200)),
        ("__meta_ec2_tag_Team", format!("team-{}", n % 20)),
        ("__meta_ec2_tag_label_cell", format!("cell-{}", n % 12)),
        ("__meta_ec2_tag_label_tier", "backend".to_owned()),
        ("__meta_ec2_vpc_id", "vpc-0123456789abcdef0".to_owned()),
    ])
}

fn asked_for() -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--targets").skip(1);
    arguments.next().map_or(100_000, |n| n.parse().expect("--targets takes a number"))
}
