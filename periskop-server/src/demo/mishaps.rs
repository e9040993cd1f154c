//! What goes wrong in the demo: real errors of the standard library and of libraries, some while a
//! request is answered ([`handlers`](super::handlers)), some beside.

use std::fs::File;
use std::net::SocketAddr;

use axum::body::Body;
use axum::http::{Method, Request, header};
use periskop_client::{Capture, Collector, Severity};
use rand::Rng;

/// Something that goes wrong now and then.
pub(super) struct Mishap {
    /// How often, against the others of its service.
    pub(super) weight: u32,
    /// Whether it does as soon as the instance is up.
    pub(super) at_start: bool,
    pub(super) happening: Happening,
}

/// Fails, and reports it.
pub(super) type Failing = fn(&Collector);

/// How it comes about.
#[derive(Clone, Copy)]
pub(super) enum Happening {
    /// Beside all requests.
    Aside(Failing),
    /// By this request, to a handler of the instance.
    During(fn() -> Request<Body>),
}

use Happening::{Aside, During};

pub(super) const SHOP: &[Mishap] = &[
    Mishap { weight: 12, at_start: true, happening: During(item) },
    Mishap { weight: 6, at_start: true, happening: During(checkout) },
    Mishap { weight: 3, at_start: true, happening: During(basket) },
    Mishap { weight: 1, at_start: false, happening: Aside(missing_image) },
];

pub(super) const SEARCH: &[Mishap] = &[
    Mishap { weight: 10, at_start: true, happening: During(search) },
    Mishap { weight: 4, at_start: true, happening: During(garbled_search) },
    Mishap { weight: 1, at_start: false, happening: Aside(unreadable_page) },
];

pub(super) const MAILER: &[Mishap] = &[
    Mishap { weight: 5, at_start: true, happening: Aside(no_template) },
    Mishap { weight: 3, at_start: true, happening: Aside(no_relay) },
    Mishap { weight: 2, at_start: false, happening: Aside(retried_delivery) },
];

pub(super) const BILLING: &[Mishap] = &[
    Mishap { weight: 3, at_start: true, happening: Aside(rounding) },
    Mishap { weight: 1, at_start: true, happening: During(invoice) },
];

/// Of a job that ends soon: how often in one run, at most.
pub(super) const BATCH: &[(u32, Failing)] = &[(4, unreadable_price), (2, unreadable_amount)];

pub(super) fn dice(sides: u32) -> u32 {
    rand::rng().random_range(0..sides)
}

/// A request as a browser sends it. The token is there to be masked.
fn request(method: Method, url: &str, body: &'static str) -> Request<Body> {
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    // Each is one of the demo's own, and one.
    *request.uri_mut() = url.parse().unwrap_or_default();
    for (name, value) in [
        (header::ACCEPT, "application/json"),
        (header::AUTHORIZATION, "Bearer eyJhbGciOiJIUzI1NiJ9.demo"),
        (header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64) Firefox/143.0"),
    ] {
        request.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    request
}

fn item() -> Request<Body> {
    let price = ["12,50", "free", "1e3", ""][dice(4) as usize];
    request(Method::GET, &format!("https://shop.example/items/{}?price={price}", dice(500)), "")
}

fn checkout() -> Request<Body> {
    let body = r#"{"basket": [17, 4], "card": "4111-xxxx", "password": "hunter2"}"#;
    request(Method::POST, "https://shop.example/checkout", body)
}

fn basket() -> Request<Body> {
    request(Method::PUT, "https://shop.example/basket", r#"{"items": [1, 2, "#)
}

fn search() -> Request<Body> {
    let url = format!("https://search.example/v2/search?q=lamp&page={}", dice(20));
    request(Method::GET, &url, "")
}

fn garbled_search() -> Request<Body> {
    request(Method::GET, "https://search.example/v2/search?q=caf%E9", "")
}

fn invoice() -> Request<Body> {
    let url = format!("https://billing.example/invoices/2026-{}", dice(12) + 1);
    request(Method::GET, &url, "")
}

fn missing_image(collector: &Collector) {
    let message = format!("item {} has no image, the placeholder is shown", dice(500));
    let capture = Capture::message(message).severity(Severity::Info);
    collector.record(capture.class("shop::images").key("no-image"));
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

fn unreadable_price(collector: &Collector) {
    if let Err(error) = ["12,50", "free"][dice(2) as usize].parse::<u32>() {
        collector.report(&error);
    }
}

fn unreadable_amount(collector: &Collector) {
    if let Err(error) = "1,234.50".parse::<f64>() {
        collector.report(&error);
    }
}
