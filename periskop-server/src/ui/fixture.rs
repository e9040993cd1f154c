//! View models with invented data, for tests.

use std::time::Duration;

use periskop_core::aggregate::Act;
use periskop_core::{AggregateId, Severity, Timestamp};

use super::asked::Asked;
use super::chart::{Bars, Event, Mark, Series};
use super::filter::{ErrorFilter, StateFilter};
use super::frames;
use super::link;
use super::page::Site;
use super::shell;
use super::target_filter::TargetFilter;
use super::text::Text;
use super::view::*;

/// What a hostile target writes into every field that it has.
pub(super) const HOSTILE: &str = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\"'`${7*7}{{7*7}}\x1b[2J\u{202e}&amp;";

pub(super) fn site() -> Site {
    let now = Timestamp::parse("2026-11-23T12:00:00Z").unwrap();
    Site { base: String::new(), now, notice: None }
}

fn before_now(seconds: u64) -> Timestamp {
    site().now.minus(Duration::from_secs(seconds))
}

pub(super) fn series(count: impl Fn(u64) -> u64) -> Series {
    let step = Duration::from_secs(3_600);
    Series { from: site().now.minus(step * 24), step, counts: (0..24).map(count).collect() }
}

/// Noise that is the same every time.
pub(super) fn noise(i: u64) -> u64 {
    (i + 3) * 2_654_435_761 % 97
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> Vec<(Text, Text)> {
    pairs.iter().map(|(name, value)| (Text::new(*name), Text::new(*value))).collect()
}

pub(super) fn overview() -> Overview {
    let burst = |i| if i > 20 { 900 + noise(i) } else { noise(i) / 9 };
    let row = |name: &str, up, instances, open, new, regressed, rate, trend, severity, series| {
        let name = Text::new(name);
        ServiceRow { name, up, instances, open, new, regressed, rate, trend, severity, series }
    };
    use Severity::{Error, Info, Warning};
    Overview {
        services: vec![
            row("checkout", 4, 4, 12, 2, 0, 306.0, Some(38.0), Error, series(burst)),
            row("billing-batch", 1, 1, 4, 0, 1, 0.4, Some(2.0), Error, series(|i| i / 23)),
            row("search-api", 11, 12, 9, 0, 0, 4.0, Some(1.0), Warning, series(noise)),
            row("recommendations", 6, 6, 2, 1, 0, 0.1, Some(0.3), Error, series(|i| 400 / (i + 1))),
            row("web", 24, 24, 7, 0, 0, 2.0, Some(1.1), Info, series(|i| 50 + noise(i))),
            row("mailer", 0, 2, 0, 0, 0, 0.0, None, Info, series(|_| 0)),
        ],
    }
}

pub(super) fn row(class: &str, message: &str, state: State, severity: Severity) -> ErrorRow {
    ErrorRow {
        service: Text::new("checkout"),
        key: Text::new(format!("{class}@9f1c2ab4")),
        class: Text::new(class),
        message: Text::new(message),
        severity,
        state,
        total: 18_204,
        first_seen: before_now(3 * 3_600 + 60),
        last_seen: before_now(12),
        series: series(|i| if i > 20 { 900 + noise(i) } else { noise(i) / 9 }),
    }
}

pub(super) fn errors() -> ErrorsPage {
    use Severity::{Error, Info, Warning};
    let mut rows = vec![
        row(
            "java.sql.SQLTransientConnectionException",
            "HikariPool-1 - Connection is not available, request timed out after 30001ms",
            State::New(Lately::Hour),
            Error,
        ),
        row(
            "PaymentDeclinedError",
            "card_declined for order <redacted>: insufficient funds",
            State::Open,
            Error,
        ),
        row("ZeroDivisionError", "divided by 0", State::Regressed, Error),
        row(
            "*errors.errorString",
            "context deadline exceeded\n(Client.Timeout exceeded while awaiting headers)",
            State::Open,
            Warning,
        ),
        row("cache-miss-storm", "cold cache after deploy 2026.11.22-3", State::Open, Info),
        row(
            "DeprecationWarning",
            "currency without minor units",
            State::Muted(Muted::For(Duration::from_secs(2 * 86_400))),
            Warning,
        ),
    ];
    for (i, row) in (0_u64..).zip(&mut rows).skip(1) {
        row.total = 40 + noise(i) * 11;
        row.series = series(|j| noise(i * 7 + j));
        row.first_seen = before_now(i * 432_000);
        row.last_seen = before_now(i * i * 97);
    }
    ErrorsPage {
        filter: ErrorFilter::default(),
        state: StateFilter::Open,
        problem: None,
        done: None,
        total: 134,
        occurrences: 27_912,
        rows,
        next: Some("7b".to_owned()),
        facets: Facets {
            states: StateFilter::ALL.into_iter().zip([34, 2, 1, 3, 120, 157]).collect(),
            severities: vec![(Error, 21), (Warning, 9), (Info, 4)],
            services: [("checkout", 12), ("search-api", 9), ("web", 7), ("billing-batch", 4)]
                .map(|(name, n)| (Text::new(name), n))
                .to_vec(),
            label_names: vec![Text::new("version"), Text::new("zone")],
            labels: vec![(Text::new("eu-west-1b"), 20), (Text::default(), 3)],
        },
        services: 6,
    }
}

pub(super) fn error() -> ErrorPage {
    let row = errors().rows.swap_remove(0);
    let step = Duration::from_secs(900);
    let counts = (0..96).map(|i| if i > 86 { 300 + noise(i) * 2 } else { noise(i) / 9 }).collect();
    let chart = Series { from: site().now.minus(step * 96), step, counts };
    let marks = vec![Mark { at: before_now(7_200), what: Event::Resolved }];
    let instance = |name: &str, count, share, note| InstanceRow {
        name: Text::new(name),
        labels: labels(&[("version", "2026.11.22-3"), ("zone", "eu-west-1b")]),
        count,
        share,
        note,
    };
    ErrorPage {
        bars: Bars::new(chart, Severity::Error, marks),
        row,
        rate: 306.0,
        trend: Some(38.0),
        asked: Asked::default(),
        before: 12,
        instances: vec![
            instance("10.2.4.17:8080", 9_104, 100, InstanceNote::Reports),
            instance("10.2.4.31:8080", 6_013, 66, InstanceNote::Down),
            instance("10.2.5.3:8080", 3_087, 34, InstanceNote::Gone),
            instance("10.2.5.9:8080", 0, 0, InstanceNote::None),
        ],
        further: 0,
        labels: vec![Text::new("version"), Text::new("zone")],
        reporting: 3,
        known: 4,
        evicted: 1,
        history: vec![
            HistoryRow {
                at: before_now(3_600),
                what: "came back",
                until: None,
                by: Text::default(),
                why: Text::default(),
            },
            HistoryRow {
                at: before_now(7_200),
                what: "resolved",
                until: None,
                by: Text::new("ada"),
                why: Text::new("pool 20 → 40"),
            },
        ],
        done: None,
        occurrence: Some(occurrence()),
    }
}

fn occurrence() -> OccurrenceCard {
    let trace = [
        "at com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)",
        "at com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:197)",
        "at com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:162)",
        "at com.example.checkout.OrderRepository.find(OrderRepository.java:88)",
        "at com.example.checkout.CheckoutService.place(CheckoutService.java:141)",
        "at com.example.checkout.CheckoutController.post(CheckoutController.java:52)",
        "at org.springframework.web.servlet.FrameworkServlet.service(FrameworkServlet.java:883)",
        "at javax.servlet.http.HttpServlet.service(HttpServlet.java:750)",
        "at java.base/java.lang.Thread.run(Thread.java:840)",
    ];
    let headers = [("Content-Type", "application/json"), ("Host", "shop.example")];
    let body = "{\"order\": \"it's <redacted>\"}";
    let curl = shell::curl(&shell::Request {
        method: "POST",
        url: "/orders?dry=1",
        headers: &headers,
        body: Some(body),
    });
    OccurrenceCard {
        name: Text::new("5d9893c6-51d6-11ea-8aad-f894c260afe5"),
        place: 1,
        of: 10,
        newer: None,
        older: Some(Text::new("b0b7e0de-51d5-11ea-8aad-f894c260afe5")),
        time: Some(before_now(12)),
        severity: Severity::Error,
        exceptions: vec![
            ExceptionCard {
                class: Text::new("java.sql.SQLTransientConnectionException"),
                message: Text::new("HikariPool-1 - Connection is not available"),
                frames: frames::group(trace.into_iter()),
                further: 0,
            },
            ExceptionCard {
                class: Text::new("java.net.SocketTimeoutException"),
                message: Text::new("connect timed out"),
                frames: frames::group(trace.into_iter().skip(6)),
                further: 12,
            },
        ],
        further: 0,
        http: Some(HttpCard {
            method: Text::new("POST"),
            url: Text::new("/orders?dry=1"),
            headers: labels(&headers),
            body: Text::new(body),
            curl: Some(Text::new(curl)),
        }),
        trace: Text::new(trace.join("\n")),
        raw: Text::new("{\n  \"uuid\": \"5d9893c6\"\n}"),
    }
}

pub(super) fn targets() -> TargetsPage {
    let target = |url: &str, health, error: &str| TargetRow {
        url: Text::new(url),
        health,
        last_scrape: (health != Health::Unknown).then(|| before_now(4)),
        took: (health != Health::Unknown).then(|| Duration::from_micros(12_300)),
        error: Text::new(error),
        before: (health == Health::Unknown).then(|| Before {
            is_up: false,
            since: before_now(7_200),
            reason: Text::new("connection refused"),
        }),
        warnings: Vec::new(),
        labels: labels(&[("instance", "10.2.4.17:8080"), ("zone", "eu-west-1b")]),
        discovered: labels(&[
            ("__address__", "10.2.4.17:8080"),
            ("__meta_dns_name", "checkout.internal"),
            ("__metrics_path__", "/-/exceptions"),
            ("__scheme__", "http"),
        ]),
    };
    TargetsPage {
        filter: TargetFilter::default(),
        counts: TargetCounts { up: 1, down: 1, unknown: 1, dropped: 3 },
        names: vec![Text::new("checkout"), Text::new("mailer")],
        services: vec![
            TargetGroup {
                service: Text::new("checkout"),
                targets: vec![
                    target(
                        "http://10.2.4.31:8080/-/exceptions",
                        Health::Down,
                        "not JSON at line 1, column 1: it begins with “<!doctype html>”",
                    ),
                    target("http://10.2.4.17:8080/-/exceptions", Health::Up, ""),
                    target("http://10.2.5.3:8080/-/exceptions", Health::Unknown, ""),
                ],
                dropped: vec![labels(&[("__address__", "10.2.9.9:8080"), ("env", "test")])],
                counts: TargetCounts { up: 1, down: 1, unknown: 1, dropped: 3 },
                matching: 6,
                pages: 1,
                invalid: vec![Text::new("10.2.9.7: no port")],
                problems: Vec::new(),
            },
            TargetGroup {
                service: Text::new("mailer"),
                targets: Vec::new(),
                dropped: Vec::new(),
                counts: TargetCounts::default(),
                matching: 0,
                pages: 1,
                invalid: Vec::new(),
                problems: vec![Text::new("dns: no such host: mailer.internal")],
            },
        ],
    }
}

pub(super) fn status() -> StatusPage {
    StatusPage {
        facts: vec![
            ("Build", labels_static(&[("version", "0.1.0"), ("rustc", "1.90.0")])),
            (
                "Run time",
                labels_static(&[("started", "2026-11-23 08:00:00 UTC"), ("errors", "157")]),
            ),
        ],
        config: Text::new(
            "services:\n- name: checkout\n  scraper:\n    basic_auth:\n      username: periskop\n      password: <secret>\n",
        ),
        warnings: vec![Text::new(
            "This server listens on 0.0.0.0:8080 and is open to whoever reaches it.",
        )],
    }
}

fn labels_static(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, Text)> {
    pairs.iter().map(|(name, value)| (*name, Text::new(*value))).collect()
}

/// Every page, each with everything on it replaced by what a hostile target writes.
pub(super) fn hostile_pages(site: &Site) -> Vec<String> {
    let hostile = || Text::new(HOSTILE);
    let pairs = || vec![(hostile(), hostile())];

    let mut overview = overview();
    overview.services[0].name = hostile();

    let mut errors = errors();
    let encoded = link::encode(HOSTILE);
    errors.filter = ErrorFilter::parse(&format!(
        "q={encoded}&service={encoded}&label={encoded}&cursor={encoded}"
    ));
    errors.facets.services = vec![(hostile(), 1)];
    (errors.facets.label_names, errors.facets.labels) = (vec![hostile()], vec![(hostile(), 1)]);
    errors.next = Some(HOSTILE.to_owned());
    errors.problem = Some(QueryProblem {
        message: hostile(),
        before: hostile(),
        marked: hostile(),
        after: hostile(),
        suggestion: Some((hostile(), errors.first())),
    });
    errors.done = Some(DoneToSome {
        act: Act::Resolve,
        count: 1,
        errors: vec![AggregateId { service: HOSTILE.into(), key: HOSTILE.into() }],
        undo: Some("reopen"),
    });
    let row = &mut errors.rows[0];
    (row.service, row.key, row.class, row.message) = (hostile(), hostile(), hostile(), hostile());
    let row = row.clone();

    let mut error = error();
    error.row = row;
    error.instances[0].name = hostile();
    error.instances[0].labels = pairs();
    error.labels = vec![hostile()];
    error.asked = Asked::parse(&format!("by={encoded}&occurrence={encoded}"));
    let undo = Undo { act: "mute", until: Some("60s".to_owned()), count: None };
    let until = Some(Hidden::Until(before_now(60)));
    error.done = Some(Done { what: "muted", until, undo: Some(undo) });
    (error.history[0].by, error.history[0].why) = (hostile(), hostile());
    let occurrence = error.occurrence.as_mut().unwrap();
    (occurrence.name, occurrence.older, occurrence.newer) =
        (hostile(), Some(hostile()), Some(hostile()));
    (occurrence.trace, occurrence.raw) = (hostile(), hostile());
    for exception in &mut occurrence.exceptions {
        (exception.class, exception.message) = (hostile(), hostile());
        exception.frames = frames::group([HOSTILE, "at java.A", HOSTILE].into_iter());
    }
    let curl = shell::curl(&shell::Request {
        method: HOSTILE,
        url: HOSTILE,
        headers: &[("X", HOSTILE)],
        body: Some(HOSTILE),
    });
    occurrence.http = Some(HttpCard {
        method: hostile(),
        url: hostile(),
        headers: pairs(),
        body: hostile(),
        curl: Some(Text::new(curl)),
    });

    let mut targets = targets();
    targets.filter = TargetFilter::parse(&format!("service={encoded}"));
    targets.names = vec![hostile(), hostile()];
    let group = &mut targets.services[0];
    (group.service, group.problems, group.dropped) = (hostile(), vec![hostile()], vec![pairs()]);
    group.invalid = vec![hostile()];
    let target = &mut group.targets[0];
    target.warnings = vec![hostile()];
    (target.url, target.error, target.labels, target.discovered) =
        (hostile(), hostile(), pairs(), pairs());
    target.before = Some(Before { is_up: false, since: before_now(1), reason: hostile() });

    let mut status = status();
    (status.config, status.warnings) = (hostile(), vec![hostile()]);
    status.facts[0].1[0].1 = hostile();

    let problem = ProblemPage { status: 404, title: "No such error", detail: hostile() };
    vec![
        site.overview(&overview),
        site.errors(&errors),
        site.error(&error),
        site.targets(&targets),
        site.status(&status),
        site.problem(&problem),
    ]
}
