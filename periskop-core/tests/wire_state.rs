//! The persisted form: whatever is written reads back, and what cannot be read says why.

use periskop_core::testing::state;
use periskop_core::wire::state::{Line, LineError, LineReader, lines};
use periskop_core::{Observer, ReplicaId, Settings, State};
use proptest::prelude::*;

fn written(state: &State) -> Vec<String> {
    lines(state).map(|(_, line)| line).collect()
}

fn read<'a>(lines: impl IntoIterator<Item = &'a String>) -> Result<State, LineError> {
    let mut reader = LineReader::new();
    for line in lines {
        reader.line(line)?;
    }
    reader.finish()
}

proptest! {
    #[test]
    fn a_state_reads_back_as_it_was(state in state::state()) {
        prop_assert_eq!(read(&written(&state)).unwrap(), state);
    }

    #[test]
    fn lines_may_be_read_twice_and_in_another_order(state in state::state()) {
        let lines = written(&state);
        let (ends, middle) = ([&lines[0], &lines[lines.len() - 1]], &lines[1..lines.len() - 1]);
        let mut joined = State::default();
        for part in [&middle[..middle.len() / 2], middle] {
            let end = format!("{{\"end\":{{\"lines\":{}}}}}", part.len());
            let part = part.iter().rev();
            joined.join(read([ends[0]].into_iter().chain(part).chain([&end])).unwrap());
        }
        prop_assert_eq!(joined, state);
    }

    #[test]
    fn a_state_in_small_parts_is_the_same_state(state in state::state(), errors_each in 0..4_usize) {
        let mut joined = State::new(100);
        for delta in state.clone().into_deltas(errors_each) {
            prop_assert!(!delta.is_empty() && delta.touched().count() <= errors_each.max(1));
            joined.join(delta.into_state());
        }
        prop_assert_eq!(joined, state);
    }

    #[test]
    fn a_file_that_was_cut_off_is_noticed(state in state::state(), keep in any::<prop::sample::Index>()) {
        let lines = written(&state);
        let kept = &lines[..keep.index(lines.len())];
        prop_assert!(matches!(read(kept), Err(LineError::NoHeader | LineError::CutOff)));
    }

    #[test]
    fn no_line_panics(line in "\\PC{0,80}|\\{\"(service|source|error|end)\":\\PC{0,60}") {
        let mut reader = LineReader::new();
        reader.line("{\"periskop_state\":{\"version\":1}}").unwrap();
        let _ = reader.line(&line);
    }
}

#[test]
fn a_line_that_cannot_be_read_has_no_effect() {
    let mut reader = LineReader::new();
    let header = written(&State::default()).remove(0);
    assert_eq!(reader.line(&header).unwrap(), Line::Header);
    for wrong in [
        "",
        "{}",
        "{\"service\":{}}",
        "{\"source\":{\"id\":\"xy\",\"name\":\"n\",\"labels\":null,\"labels_at\":null}}",
        "{\"error\":{\"service\":\"s\"}}",
    ] {
        reader.line(wrong).unwrap_err();
    }
    assert_eq!(reader.line("{\"end\":{\"lines\":0}}").unwrap(), Line::End);
    assert!(matches!(reader.line("{}"), Err(LineError::AfterEnd)));
    assert_eq!(reader.finish().unwrap(), State::default());
}

#[test]
fn what_a_newer_version_wrote_is_left_alone() {
    let error = LineReader::new().line("{\"periskop_state\":{\"version\":2}}").unwrap_err();
    assert_eq!(error.to_string(), "this is of version 2, this program reads up to 1");
}

#[test]
fn an_observer_goes_on_from_what_was_read() {
    let state = read(&written(&State::default())).unwrap();
    let observer = Observer::restore(
        ReplicaId::from_u64(1),
        Settings::default(),
        periskop_core::Timestamp::EPOCH,
        state,
    );
    assert_eq!(observer.state().errors().count(), 0);
}
