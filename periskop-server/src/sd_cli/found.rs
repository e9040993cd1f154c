//! What comes of everything that was found.

use std::collections::BTreeSet;

use periskop_core::target::{
    Action, DroppedBy, Labels, RelabelConfig, Target, TargetError, TargetLimitExceeded,
    relabel_or_rule,
};

use super::answer::Answer;
use crate::config::ServiceConfig;

/// What was found for a service.
#[derive(Debug)]
pub(super) struct Found<'c> {
    pub(super) service: &'c ServiceConfig,
    pub(super) discoveries: Vec<Asked>,
    /// In the order of the discoveries, of their groups, and of their targets.
    pub(super) candidates: Vec<Candidate>,
    /// Why none of them would be scraped, if that is so.
    pub(super) over_limit: Option<TargetLimitExceeded>,
}

/// A discovery that was asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) mechanism: &'static str,
    pub(super) groups: usize,
    pub(super) found: usize,
    pub(super) failures: Vec<String>,
}

/// Something that might be a target.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) mechanism: &'static str,
    pub(super) source: String,
    /// Its labels before relabelling.
    pub(super) discovered: Labels,
    pub(super) fate: Fate,
}

/// What comes of it.
#[derive(Debug)]
pub(super) enum Fate {
    /// It would be scraped.
    Target(Target),
    /// It is one that was found already.
    Again(Target),
    /// It cannot be scraped.
    Invalid(TargetError),
    /// A rule drops it.
    Dropped(DroppedBy),
}

impl<'c> Found<'c> {
    /// Relabels what was answered, as a pool does.
    pub(super) fn new(service: &'c ServiceConfig, answers: Vec<Answer>) -> Self {
        let spec = service.spec(Vec::new());
        let (mut discoveries, mut candidates) = (Vec::new(), Vec::new());
        let mut known = BTreeSet::new();
        for Answer { mechanism, groups, failures } in answers {
            let found = groups.iter().map(|group| group.targets.len()).sum();
            discoveries.push(Asked { mechanism, groups: groups.len(), found, failures });
            for group in groups {
                for target in &group.targets {
                    let discovered =
                        spec.scrape.discovered_labels(spec.name.as_str(), target, &group.labels);
                    let fate = match relabel_or_rule(&spec.relabel, discovered.clone()) {
                        Err(by) => Fate::Dropped(by),
                        Ok(labels) => {
                            let before = discovered.clone();
                            match Target::new(&spec.name, &spec.scrape, before, labels) {
                                Ok(target) if known.insert(target.id()) => Fate::Target(target),
                                Ok(target) => Fate::Again(target),
                                Err(error) => Fate::Invalid(error),
                            }
                        }
                    };
                    let source = group.source.clone();
                    candidates.push(Candidate { mechanism, source, discovered, fate });
                }
            }
        }
        let (targets, limit) = (known.len(), spec.target_limit);
        let is_over = limit > 0 && targets > limit;
        let over_limit = is_over.then_some(TargetLimitExceeded { targets, limit });
        Self { service, discoveries, candidates, over_limit }
    }

    /// The rule that dropped something.
    pub(super) fn rule(&self, by: &DroppedBy) -> Option<&'c RelabelConfig> {
        self.service.relabel.get(by.rule)
    }

    /// Which rule dropped something, and why.
    pub(super) fn reason(&self, by: &DroppedBy) -> String {
        let Some(rule) = self.rule(by) else { return String::new() };
        let (action, names) = (rule.action(), rule.source_labels().join(", "));
        let value = rule.value(&by.labels);
        let looked = format!("relabel_configs[{}], {action}: [{names}] is {value:?}", by.rule);
        let target = rule.target_label();
        match action {
            Action::Keep => format!("{looked}, which does not match {}", rule.regex_text()),
            Action::Drop => format!("{looked}, which matches {}", rule.regex_text()),
            Action::DropEqual => format!("{looked}, as {target} is"),
            _ => format!("{looked}, and {target} is {:?}", by.labels.get(target)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use periskop_core::target::TargetGroup;

    use super::*;
    use crate::config::Config;

    /// Why a target with these labels is dropped by a rule.
    #[track_caller]
    fn check(rule: &str, expected: &str) {
        let text = format!("services: [{{name: s, relabel_configs: [{rule}]}}]");
        let config = Config::parse(&text, Path::new("")).unwrap();
        let target = Labels::from([("__address__", "h:1"), ("a", "1"), ("b", "x"), ("c", "x")]);
        let group = TargetGroup { targets: vec![target], ..TargetGroup::default() };
        let answer = Answer { groups: vec![group], ..Answer::default() };
        let found = Found::new(&config.services[0], vec![answer]);
        let Fate::Dropped(by) = &found.candidates[0].fate else { panic!("it is not dropped") };
        assert_eq!(found.reason(by), format!("relabel_configs[0], {expected}"));
    }

    #[test]
    fn each_kind_of_rule_says_why_it_drops_a_target() {
        check(
            "{source_labels: [a, b], regex: '1;y|2', action: keep}",
            "keep: [a, b] is \"1;x\", which does not match 1;y|2",
        );
        check("{source_labels: [none], action: drop}", "drop: [none] is \"\", which matches (.*)");
        check(
            "{source_labels: [a], target_label: b, action: keepequal}",
            "keepequal: [a] is \"1\", and b is \"x\"",
        );
        check(
            "{source_labels: [c], target_label: b, action: dropequal}",
            "dropequal: [c] is \"x\", as b is",
        );
    }
}
