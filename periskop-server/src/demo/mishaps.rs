//! What goes wrong in the demo: real errors of the standard library and of libraries, with their
//! causes and the requests during which they happened.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use periskop_client::{Capture, Collector, HttpContext, Severity};
use rand::Rng;

/// Something that goes wrong now and then.
pub(super) struct Mishap {
    /// How often, against the others of its service.
    pub(super) weight: u32,
    /// Whether it does as soon as the instance is up.
    pub(super) at_start: bool,
    pub(super) happen: fn(&Collector),
}

pub(super) const SHOP: &[Mishap] = &[
    Mishap { weight: 12, at_start: true, happen: unreadable_price },
    Mishap { weight: 6, at_start: true, happen: declined_payment },
    Mishap { weight: 3, at_start: true, happen: broken_basket },
    Mishap { weight: 1, at_start: false, happen: missing_image },
];

pub(super) const SEARCH: &[Mishap] = &[
    Mishap { weight: 10, at_start: true, happen: slow_index },
    Mishap { weight: 4, at_start: true, happen: garbled_query },
    Mishap { weight: 1, at_start: false, happen: unreadable_page },
];

pub(super) const MAILER: &[Mishap] = &[
    Mishap { weight: 5, at_start: true, happen: no_template },
    Mishap { weight: 3, at_start: true, happen: no_relay },
    Mishap { weight: 2, at_start: false, happen: retried_delivery },
];

pub(super) const BILLING: &[Mishap] = &[
    Mishap { weight: 3, at_start: true, happen: rounding },
    Mishap { weight: 1, at_start: true, happen: unreadable_invoice },
];

/// Of a job that ends soon: as often in one run, at most, as the weight says.
pub(super) const BATCH: &[Mishap] = &[
    Mishap { weight: 4, at_start: true, happen: unreadable_price },
    Mishap { weight: 2, at_start: true, happen: unreadable_invoice },
];

/// An order that could not be placed.
#[derive(Debug, thiserror::Error)]
#[error("order {order} could not be placed")]
struct CheckoutError {
    order: u32,
    source: PaymentError,
}

/// A payment that was not made.
#[derive(Debug, thiserror::Error)]
#[error("the payment provider refused: {code}")]
struct PaymentError {
    code: &'static str,
    source: io::Error,
}

/// A search that was given up.
#[derive(Debug, thiserror::Error)]
#[error("shard {shard} did not answer")]
struct ShardError {
    shard: u32,
    source: io::Error,
}

fn dice(sides: u32) -> u32 {
    rand::rng().random_range(0..sides)
}

/// A request as a browser sends it. The token is there to be masked.
fn request(method: &str, url: String, body: Option<&str>) -> HttpContext {
    HttpContext {
        method: Some(method.to_owned()),
        url: Some(url),
        headers: [
            ("Accept", "application/json"),
            ("Authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.demo"),
            ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/143.0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        body: body.map(str::to_owned),
    }
}

fn unreadable_price(collector: &Collector) {
    let price = ["12,50", "free", "1e3", ""][dice(4) as usize];
    if let Err(error) = price.parse::<u32>() {
        let url = format!("https://shop.example/items/{}?price={price}", dice(500));
        collector.record(Capture::of(&error).http(request("GET", url, None)));
    }
}

fn declined_payment(collector: &Collector) {
    let kind = [ErrorKind::ConnectionReset, ErrorKind::TimedOut][dice(2) as usize];
    let source = PaymentError {
        code: ["card_declined", "insufficient_funds"][dice(2) as usize],
        source: io::Error::new(kind, "while reading the provider's answer"),
    };
    let error = CheckoutError { order: 10_000 + dice(9_000), source };
    let body = r#"{"basket": [17, 4], "card": "4111-xxxx", "password": "hunter2"}"#;
    let url = "https://shop.example/checkout".to_owned();
    collector.record(Capture::of(&error).http(request("POST", url, Some(body))));
}

fn broken_basket(collector: &Collector) {
    let body = r#"{"items": [1, 2, "#;
    if let Err(error) = serde_json::from_str::<serde_json::Value>(body) {
        let url = "https://shop.example/basket".to_owned();
        collector.record(Capture::of(&error).http(request("PUT", url, Some(body))));
    }
}

fn missing_image(collector: &Collector) {
    let message = format!("item {} has no image, the placeholder is shown", dice(500));
    let capture = Capture::message(message).severity(Severity::Info);
    collector.record(capture.class("shop::images").key("no-image"));
}

fn slow_index(collector: &Collector) {
    let source = io::Error::new(ErrorKind::TimedOut, "no answer within 250 ms");
    let error = ShardError { shard: dice(8), source };
    let url = format!("https://search.example/v2/search?q=lamp&page={}", dice(20));
    let capture = Capture::of(&error).severity(Severity::Warning);
    collector.record(capture.http(request("GET", url, None)));
}

fn garbled_query(collector: &Collector) {
    let latin1 = b"caf\xe9".to_vec();
    if let Err(error) = String::from_utf8(latin1) {
        let url = "https://search.example/v2/search?q=caf%E9".to_owned();
        collector.record(Capture::of(&error).http(request("GET", url, None)));
    }
}

fn unreadable_page(collector: &Collector) {
    if let Err(error) = "minus one".parse::<u64>() {
        collector.record(Capture::of(&error).key("page-number"));
    }
}

fn no_template(collector: &Collector) {
    if let Err(error) = File::open("/templates/welcome-de.html") {
        collector.report(&error);
    }
}

fn no_relay(collector: &Collector) {
    if let Err(error) = "smtp.internal:twenty-five".parse::<SocketAddr>() {
        collector.report(&error);
    }
}

fn retried_delivery(collector: &Collector) {
    let message = format!("delivery {} is tried again in 5 minutes", dice(10_000));
    let capture = Capture::message(message).severity(Severity::Info);
    collector.record(capture.class("mailer::queue").key("retry"));
}

fn rounding(collector: &Collector) {
    let cents = 100_000 + dice(1000);
    if let Err(error) = u8::try_from(cents) {
        let capture = Capture::of(&error).severity(Severity::Warning);
        collector.record(capture.key("ledger/rounding? 1%"));
    }
}

fn unreadable_invoice(collector: &Collector) {
    if let Err(error) = "1,234.50".parse::<f64>() {
        let url = format!("https://billing.example/invoices/2026-{}", dice(12) + 1);
        collector.record(Capture::of(&error).http(request("GET", url, None)));
    }
}
