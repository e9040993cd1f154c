//! A pool beside one that keeps nothing: whatever was told, both must answer the same.

use proptest::prelude::*;

use super::*;
use crate::config;
use crate::target::NameScheme;

/// Something discovered, and why it is no target.
type Unscraped = (Labels, Option<TargetError>);

/// Makes everything out of the groups whenever it is asked.
struct Naive {
    spec: ServiceSpec,
    awaited: BTreeSet<ProviderId>,
    groups: BTreeMap<(ProviderId, String), TargetGroup>,
}

impl Naive {
    fn update(&mut self, provider: ProviderId, groups: Vec<TargetGroup>) {
        if !self.spec.providers.contains(&provider) {
            return;
        }
        for group in groups {
            self.groups.insert((provider, group.source.clone()), group);
        }
        self.awaited.remove(&provider);
        self.drop_departed();
    }

    fn reconfigure(&mut self, spec: ServiceSpec) {
        let before = self.spec.providers.clone();
        self.spec = spec;
        self.awaited.extend(self.spec.providers.iter().filter(|p| !before.contains(p)));
        self.awaited.retain(|provider| self.spec.providers.contains(provider));
        self.drop_departed();
    }

    fn drop_departed(&mut self) {
        if self.awaited.is_empty() {
            self.groups.retain(|(provider, _), _| self.spec.providers.contains(provider));
        }
    }

    /// Targets by identity, and what is dropped, in order.
    fn targets(&self) -> (BTreeMap<TargetId, Target>, Vec<Unscraped>) {
        let (mut targets, mut dropped) = (BTreeMap::new(), Vec::new());
        for group in self.groups.values() {
            for labels in &group.targets {
                let discovered = self.spec.scrape.discovered_labels("api", labels, &group.labels);
                let Some(labels) = relabel(&self.spec.relabel, discovered.clone()) else {
                    dropped.push((discovered, None));
                    continue;
                };
                let made =
                    Target::new(&self.spec.name, &self.spec.scrape, discovered.clone(), labels);
                match made {
                    Ok(target) => {
                        let known = targets.entry(target.id()).or_insert_with(|| target.clone());
                        if target.discovered() < known.discovered() {
                            *known = target;
                        }
                    }
                    Err(error) => dropped.push((discovered, Some(error))),
                }
            }
        }
        (targets, dropped)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Told(ProviderId, Vec<TargetGroup>),
    /// The configuration of this number, with these providers.
    Reload(usize, Vec<ProviderId>),
}

/// Some drop targets, let some come out the same, or make some that cannot be scraped.
const RULES: [&str; 3] = [
    "[]",
    "- {source_labels: [__meta_n], regex: '2', action: drop}\n\
     - {source_labels: [__address__], regex: 'b', replacement: a, target_label: __address__}\n",
    "- {source_labels: [__meta_n], regex: '1', replacement: 'a/b', target_label: __address__}\n\
     - {source_labels: [__meta_g], target_label: g}\n",
];

fn configured(rules: usize, providers: &[ProviderId]) -> ServiceSpec {
    let list = config::parse(RULES[rules]).unwrap();
    let relabel = config::decode(&list, |at, problems| {
        let items = at.items(problems)?;
        let rules = items.iter().map(|at| RelabelConfig::decode(at, NameScheme::Utf8, problems));
        rules.collect()
    });
    let mut spec = ServiceSpec { relabel: relabel.unwrap(), ..spec(providers) };
    spec.scrape.scheme = ["http", "http", "https"][rules].to_owned();
    spec
}

/// Of few different ones, so that equal ones meet.
fn labels() -> impl Strategy<Value = Labels> {
    let address = prop::sample::select(vec!["", "a", "b", "c", "d/e"]);
    (address, prop::sample::select(vec!["", "1", "2"]))
        .prop_map(|(address, n)| Labels::from([("__address__", address), ("__meta_n", n)]))
}

fn told() -> impl Strategy<Value = TargetGroup> {
    let source = prop::sample::select(vec!["x", "y", "z"]);
    let group_label = prop::sample::select(vec!["1", "1", "1", "2"]);
    (source, prop::collection::vec(labels(), 0..8), group_label).prop_map(|(source, targets, g)| {
        let labels = Labels::from([("__meta_g", g)]);
        TargetGroup { source: source.to_owned(), targets, labels }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let providers = prop::sample::subsequence(vec![0, 1, 2], 1..=3);
    prop_oneof![
        5 => (0..3_usize, prop::collection::vec(told(), 0..4)).prop_map(|(p, g)| Step::Told(p, g)),
        1 => (0..RULES.len(), providers).prop_map(|(rules, p)| Step::Reload(rules, p)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_pool_is_what_a_rebuilt_one_would_be(steps in prop::collection::vec(step(), 1..20)) {
        let spec = configured(0, &[0, 1]);
        let mut naive =
            Naive { spec: spec.clone(), awaited: BTreeSet::new(), groups: BTreeMap::new() };
        let mut pool = Pool::new(spec);
        for step in steps {
            let (before, _) = naive.targets();
            let change = match step {
                Step::Told(provider, groups) => {
                    naive.update(provider, groups.clone());
                    pool.update(provider, groups)
                }
                Step::Reload(rules, providers) => {
                    let spec = configured(rules, &providers);
                    naive.reconfigure(spec.clone());
                    pool.reconfigure(spec)
                }
            };
            let (targets, dropped) = naive.targets();

            let found = pool.targets().map(|target| (target.id(), target.clone())).collect();
            prop_assert_eq!(&targets, &found);
            let not_scraped: Vec<_> =
                pool.dropped().map(|d| (d.discovered, d.error.cloned())).collect();
            prop_assert_eq!(pool.dropped_count(), not_scraped.len());
            prop_assert_eq!(dropped, not_scraped);

            let added: BTreeSet<_> = change.added.iter().copied().collect();
            prop_assert_eq!(added.len(), change.added.len(), "each is told once");
            let new = targets.keys().filter(|id| !before.contains_key(*id)).copied();
            prop_assert_eq!(added, new.collect());
            let removed: BTreeSet<_> = change.removed.iter().map(Target::id).collect();
            prop_assert_eq!(removed.len(), change.removed.len(), "each is told once");
            let gone = before.keys().filter(|id| !targets.contains_key(*id)).copied();
            prop_assert_eq!(removed, gone.collect());
        }
    }
}
