use proptest::prelude::*;

use super::*;

fn key(class: &str, frames: &[&str]) -> String {
    let exception = Exception {
        class: Some(class.into()),
        message: Some("order 17".into()),
        stacktrace: frames.iter().map(|frame| (*frame).to_owned()).collect(),
    };
    default_key(&[exception])
}

fn same(frame: &str, expected: &str) {
    let mut to = String::new();
    write_frame(frame, &mut to);
    assert_eq!(to, expected, "{frame}");
}

#[test]
fn the_key_depends_on_class_causes_and_frames_and_not_on_messages() {
    let one = |message: &str, frame: &str, cause: &str| {
        let outer = Exception {
            class: Some("shop::Unpaid".into()),
            message: Some(message.into()),
            stacktrace: vec![frame.into()],
        };
        let inner = Exception { class: Some(cause.into()), ..Exception::default() };
        default_key(&[outer, inner])
    };
    let key = one("order 1", "src/main.rs:1:1", "io");
    assert_eq!(one("order 2", "src/main.rs:1:1", "io"), key);
    assert_eq!(one("order 1", "src/main.rs:1:9", "io"), key);
    assert_ne!(one("order 1", "src/main.rs:2:1", "io"), key);
    assert_ne!(one("order 1", "src/main.rs:1:1", "fmt"), key);
    assert_eq!(key, "shop::Unpaid@025c1b96", "the same in every process and release");
}

#[test]
fn a_place_is_the_same_on_every_machine() {
    same("src/pay.rs:12:5", "src/pay.rs:12");
    same("./src/pay.rs:12", "src/pay.rs:12");
    same("shop/src/pay.rs:12:5", "shop/src/pay.rs:12");
    same("/builds/4711/shop/src/pay.rs:12:5", "src/pay.rs:12");
    same("C:\\ci\\shop\\src\\pay.rs:12:5", "src/pay.rs:12");
    same(
        "/root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/some-lib-1.2.3/src/a.rs:7:1",
        "some-lib/src/a.rs:7",
    );
    same("/x/.cargo/git/checkouts/some-lib-0a1b2c/9f8e7d6/src/a.rs:7:1", "some-lib/src/a.rs:7");
    same("/rustc/59807616e1fa/library/core/src/option.rs:7:1", "library/core/src/option.rs:7");
}

#[test]
fn a_function_is_its_path_without_what_the_compiler_adds() {
    same("shop::pay", "shop::pay");
    same("shop::pay::h0123456789abcdef", "shop::pay");
    same("shop[5f2d1a9b3c4e5f60]::pay", "shop::pay");
    same("  3:     0x55d0c0ffee00 - shop::pay::h0123456789abcdef", "shop::pay");
    same("shop::pay::{{closure}}", "shop::pay");
    same("shop::pay::{closure#3}::{closure#0}", "shop::pay");
    same("shop::pay::{{closure}}::inner", "shop::pay::inner");
    same("shop::pay<alloc::string::String>", "shop::pay");
    same("shop::List<T>::push", "shop::List::push");
    same("<shop::Basket as core::ops::drop::Drop>::drop", "shop::Basket::drop");
    same("<shop::Basket<T> as shop::Load<U>>::load::h0123456789abcdef", "shop::Basket::load");
    same("<&shop::Basket as shop::Load>::load", "shop::Basket::load");
    same("shop::pay (/builds/17/src/pay.rs:12:5)", "shop::pay");
    same("shop::pay at src/pay.rs:12", "shop::pay");
    same("shop::pay+0x1f", "shop::pay");
    same("worker 0x7f12ab34cd56 of 81723", "worker # of #");
    same("<unknown", "unknown");
}

#[test]
fn runtimes_and_the_standard_library_do_not_decide() {
    let plain = key("E", &["shop::pay", "shop::checkout"]);
    let wrapped = [
        "core::result::Result<T,E>::map_err",
        "shop::pay",
        "<core::pin::Pin<P> as core::future::future::Future>::poll",
        "tokio::runtime::task::core::Core<T,S>::poll",
        "shop::checkout",
        "std::rt::lang_start",
        "main",
        "__libc_start_main",
    ];
    assert_eq!(key("E", &wrapped), plain);
    let named_by_line_tables = [
        "map_err (/rustc/5980/library/core/src/result.rs:914:27)",
        "shop::pay",
        "poll (/r/.cargo/registry/src/index-0a1b/tower-http-0.6.1/src/trace.rs:1:1)",
        "shop::checkout",
    ];
    assert_eq!(key("E", &named_by_line_tables), plain);
    assert_ne!(key("E", &["core::a", "tokio::b"]), key("E", &["core::a", "tokio::c"]));
}

#[test]
fn closures_recursion_and_callers_far_away_do_not_decide() {
    let plain = key("E", &["a::f1", "a::f2", "a::f3", "a::f4", "a::f5", "a::f6"]);
    let other =
        ["a::f1::{{closure}}", "a::f1", "a::f1", "a::f2", "a::f3", "a::f4", "a::f5", "b::g"];
    assert_eq!(key("E", &other), plain);
}

#[test]
fn inlining_does_not_split_an_error() {
    let apart = concat!(
        "   0: shop::price::parse\n             at ./src/price.rs:4:5\n",
        "   1: shop::basket::total\n             at ./src/basket.rs:7:9\n",
        "   2: core::ops::function::FnOnce::call_once\n",
        "   3: shop::checkout\n             at ./src/checkout.rs:12:5\n",
    );
    let inlined = concat!(
        "   0: shop::price::parse\n             at ./src/price.rs:4:5\n",
        "      shop::basket::total\n             at ./src/basket.rs:7:9\n",
        "      shop::checkout\n             at ./src/checkout.rs:12:5\n",
    );
    let keys = [apart, inlined].map(|printed| {
        let frames = crate::backtrace::frames(printed, 10);
        key("E", &frames.iter().map(String::as_str).collect::<Vec<_>>())
    });
    assert_eq!(keys[0], keys[1]);
}

fn hex(digits: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(0_u8..16, digits)
        .prop_map(|digits| digits.iter().map(|digit| format!("{digit:x}")).collect())
}

/// How one and the same stack is printed by some build on some machine.
#[derive(Clone, Debug)]
struct Printing {
    address: String,
    hash: String,
    disambiguator: String,
    root: String,
    line: u32,
    generic: String,
    closure: u32,
    with_addresses: bool,
    with_places: bool,
    with_hashes: bool,
    with_runtime: bool,
}

prop_compose! {
    fn printing()(
        address in hex(12),
        hash in hex(16),
        disambiguator in hex(16),
        root in "/(builds|tmp|ci)/[a-z0-9]{1,8}",
        line in 1_u32..10_000,
        generic in "(u8|alloc::string::String|&dyn shop::Db|\\[u8; 4\\]|A<B<C>>)",
        closure in 0_u32..9,
        with_addresses: bool,
        with_places: bool,
        with_hashes: bool,
        with_runtime: bool,
    ) -> Printing {
        Printing {
            address, hash, disambiguator, root, line, generic, closure,
            with_addresses, with_places, with_hashes, with_runtime,
        }
    }
}

impl Printing {
    fn frames(&self, functions: &[&str]) -> Vec<String> {
        let Self { address, hash, disambiguator, root, line, generic, closure, .. } = self;
        let mut frames = Vec::new();
        for (index, function) in functions.iter().enumerate() {
            let (krate, rest) = function.split_once("::").expect("a path");
            let mut frame = if index % 2 == 0 {
                format!("{krate}[{disambiguator}]::{rest}::<{generic}>::{{closure#{closure}}}")
            } else {
                format!("<{krate}::{rest}<{generic}> as shop::Load<{generic}>>::{{{{closure}}}}")
            };
            if self.with_hashes {
                frame = format!("{frame}::h{hash}");
            }
            if self.with_addresses {
                frame = format!("{index:4}:     0x{address} - {frame}");
            }
            if self.with_places {
                frame = format!("{frame} ({root}/src/{krate}.rs:{line}:{closure})");
            }
            frames.push(frame);
            if self.with_runtime {
                frames.push(format!("<core::pin::Pin<{generic}> as F>::poll::h{hash}"));
            }
        }
        frames
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn one_stack_has_one_key_however_it_is_printed(
        functions in proptest::collection::vec(
            prop_oneof![Just("shop::pay"), Just("shop::basket::load"), Just("db::get_v2")], 1..8,
        ),
        one in printing(),
        other in printing(),
    ) {
        let keys = [one, other].map(|printing| {
            let stacktrace = printing.frames(&functions);
            default_key(&[Exception { class: None, message: None, stacktrace }])
        });
        prop_assert_eq!(&keys[0], &keys[1]);
    }

    #[test]
    fn another_function_on_top_is_another_key(one in printing(), other in printing()) {
        let key = |printing: Printing, function| {
            let stacktrace = printing.frames(&[function, "shop::main"]);
            default_key(&[Exception { class: None, message: None, stacktrace }])
        };
        prop_assert_ne!(key(one, "shop::pay"), key(other, "shop::refund"));
    }

    #[test]
    fn any_text_is_a_frame(frame in "[a-z<>{}\\[\\]:# ()0-9xé+/\\\\.-]{0,40}") {
        let key = key("E", &[&frame]);
        prop_assert!(key.starts_with("E@") && key.len() == 10);
    }
}
