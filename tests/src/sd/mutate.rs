//! Something wrong in an answer: what a fuzzer would try, from a seed.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// What stands where something else was expected.
const ODD: [&[u8]; 14] = [
    b"null",
    b"-1",
    b"0",
    b"1e400",
    b"18446744073709551616",
    b"true",
    b"\"\"",
    b"\"\\u0000\\ud83d\"",
    b"[]",
    b"{}",
    b"[[]]",
    b"&#0;",
    b"<a/>",
    b"\xff\xfe",
];

/// The answer with one to three things wrong in it.
pub(super) fn mutate(mut answer: Vec<u8>, seed: u64) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..rng.random_range(1..=3) {
        let at = rng.random_range(0..=answer.len());
        match rng.random_range(0..5) {
            // A value, from one delimiter to the next, becomes another.
            0 | 1 => {
                let is_delimiter = |byte: &u8| b":,[]{}<>\n".contains(byte);
                let from = answer[at..].iter().position(is_delimiter).map(|n| at + n + 1);
                let from = from.unwrap_or(at);
                let to =
                    answer[from..].iter().position(is_delimiter).map_or(answer.len(), |n| from + n);
                let odd = ODD[rng.random_range(0..ODD.len())];
                answer.splice(from..to, odd.iter().copied());
            }
            // A part is missing.
            2 => {
                let to = (at + rng.random_range(0..64)).min(answer.len());
                answer.drain(at..to);
            }
            // A part is there twice.
            3 => {
                let to = (at + rng.random_range(0..256)).min(answer.len());
                let part = answer[at..to].to_vec();
                answer.splice(at..at, part);
            }
            // A bit has flipped.
            _ => {
                if let Some(byte) = answer.get_mut(at) {
                    *byte ^= 1 << rng.random_range(0..8);
                }
            }
        }
    }
    answer
}
