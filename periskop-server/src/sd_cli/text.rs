//! What was found, for people.

use std::io::{self, Write};

use periskop_core::target::Labels;

use super::found::{Candidate, Fate, Found};
use crate::api::without_userinfo;

/// Writes everything: first how many there are, then what is scraped, what cannot be, and what is
/// dropped, which may be most.
pub(super) fn write(found: &[Found<'_>], out: &mut impl Write) -> io::Result<()> {
    for (i, found) in found.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        head(found, out)?;
        let kinds: [fn(&Fate) -> bool; 3] = [
            |fate| matches!(fate, Fate::Target(_) | Fate::Again(_)),
            |fate| matches!(fate, Fate::Invalid(_)),
            |fate| matches!(fate, Fate::Dropped(_)),
        ];
        for kind in kinds {
            for candidate in found.candidates.iter().filter(|c| kind(&c.fate)) {
                writeln!(out)?;
                write_one(found, candidate, out)?;
            }
        }
    }
    Ok(())
}

fn head(found: &Found<'_>, out: &mut impl Write) -> io::Result<()> {
    let count = |is: fn(&Fate) -> bool| found.candidates.iter().filter(|c| is(&c.fate)).count();
    let mut counts = vec![plural(count(|fate| matches!(fate, Fate::Target(_))), "target")];
    match count(|fate| matches!(fate, Fate::Again(_))) {
        0 => {}
        1 => counts[0].push_str(" (one of them found again)"),
        n => counts[0].push_str(&format!(" (found {n} times again)")),
    }
    for (n, kind) in [
        (count(|fate| matches!(fate, Fate::Invalid(_))), "invalid"),
        (count(|fate| matches!(fate, Fate::Dropped(_))), "dropped"),
    ] {
        if n > 0 {
            counts.push(format!("{n} {kind}"));
        }
    }
    writeln!(out, "service {}: {}", found.service.name, counts.join(", "))?;
    if found.discoveries.is_empty() {
        writeln!(out, "  no discovery is configured")?;
    }
    for asked in &found.discoveries {
        if asked.groups > 0 || asked.failures.is_empty() {
            let groups = plural(asked.groups, "group");
            writeln!(out, "  {}: {} found in {groups}", asked.mechanism, asked.found)?;
        }
        for failure in &asked.failures {
            writeln!(out, "  {}: FAILED: {}", asked.mechanism, tame(failure))?;
        }
    }
    if let Some(excess) = &found.over_limit {
        writeln!(out, "  none is scraped: {excess}")?;
    }
    Ok(())
}

fn write_one(found: &Found<'_>, candidate: &Candidate, out: &mut impl Write) -> io::Result<()> {
    let url = |url: &str| tame(&without_userinfo(url));
    let after = match &candidate.fate {
        Fate::Target(target) => {
            writeln!(out, "  target {}", url(target.url()))?;
            Some(target.public_labels())
        }
        Fate::Again(target) => {
            writeln!(out, "  found again: target {}", url(target.url()))?;
            Some(target.public_labels())
        }
        Fate::Invalid(error) => {
            writeln!(out, "  invalid: {}", tame(&error.to_string()))?;
            None
        }
        Fate::Dropped(by) => {
            writeln!(out, "  dropped by {}", tame(&found.reason(by)))?;
            None
        }
    };
    writeln!(out, "    from    {}, source {}", candidate.mechanism, tame(&candidate.source))?;
    labels("before", &candidate.discovered, out)?;
    after.map_or(Ok(()), |after| labels("after", &after, out))
}

fn labels(when: &str, labels: &Labels, out: &mut impl Write) -> io::Result<()> {
    for (i, (name, value)) in labels.iter().enumerate() {
        let when = if i == 0 { when } else { "" };
        writeln!(out, "    {when:<8}{}={value:?}", tame(name))?;
    }
    Ok(())
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// In one line, and without what controls a terminal: a backend may have told it.
fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => tamed.extend(c.escape_default()),
            false => tamed.push(c),
        }
    }
    tamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_made_visible() {
        assert_eq!(tame("a\u{1b}[2Jb\nc é\u{9b}"), "a\\u{1b}[2Jb\\nc é\\u{9b}");
    }
}
