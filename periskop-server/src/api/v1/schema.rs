//! What answers and bodies look like, for the description of the API.
//!
//! Answers are written as they are found out, without values in between ([`super::super::json`]);
//! these types are their description, and tests read real answers into them. A member that is not
//! described here is refused, so that neither can change without the other.

#![expect(dead_code, reason = "they describe: what is read into them is not looked at")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

macro_rules! described {
    ($($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $kind:ty,)* })*) => { $(
        #[derive(Debug, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$doc])*
        pub(crate) struct $name { $($(#[$about])* pub(crate) $field: $kind,)* }
    )* };
}

/// The state of an error, derived from what people decided and what happened since.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ErrorState {
    /// Never resolved, or reopened.
    Open,
    /// Resolved, and something new since.
    Regressed,
    /// Resolved, and nothing new since.
    Resolved,
    /// Hidden.
    Muted,
}

/// How bad an error is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SeverityName {
    Info,
    Warning,
    Error,
}

/// What somebody does to an error.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ActionName {
    /// It is dealt with; whatever is new from now on brings it back.
    Resolve,
    /// It is not dealt with after all.
    Reopen,
    /// It is hidden, and counted on.
    Mute,
    /// It is shown again.
    Unmute,
    /// Its texts are removed for good.
    Forget,
}

described! {
    /// A page of a list of errors.
    ErrorList {
        errors: Vec<Summary>,
        /// How many errors are found, on whatever page.
        total: u64,
        /// How many occurrences these have together.
        occurrences: u64,
        facets: Facets,
        /// Where the next page begins; null on the last one.
        #[schema(required)]
        next_cursor: Option<String>,
    }

    /// How many errors there are for each choice, with the other choices as they are.
    Facets {
        /// By service.
        service: BTreeMap<String, u64>,
        /// By severity.
        severity: BTreeMap<String, u64>,
        /// By state; those that are `new` are among the open ones.
        state: BTreeMap<String, u64>,
        /// By the value of the label that was asked for, `""` where there is none.
        #[serde(default)]
        label: Option<BTreeMap<String, u64>>,
    }

    /// What a list says of an error.
    Summary {
        service: String,
        aggregation_key: String,
        state: ErrorState,
        severity: SeverityName,
        /// Of the newest exception.
        #[schema(required)]
        class: Option<String>,
        #[schema(required)]
        message: Option<String>,
        total_count: u64,
        #[schema(format = DateTime)]
        first_seen: String,
        #[schema(format = DateTime)]
        last_seen: String,
        /// Occurrences per minute over the last fifteen minutes.
        rate: f64,
        instances: Instances,
    }

    /// How many instances there are.
    Instances {
        /// Those that export the error now.
        reporting: u64,
        /// Those that are scraped.
        known: u64,
    }

    /// An error whole.
    ErrorDetail {
        service: String,
        aggregation_key: String,
        state: ErrorState,
        severity: SeverityName,
        /// Of the newest exception.
        #[schema(required)]
        class: Option<String>,
        #[schema(required)]
        message: Option<String>,
        total_count: u64,
        #[schema(format = DateTime)]
        first_seen: String,
        #[schema(format = DateTime)]
        last_seen: String,
        /// Occurrences per minute over the last fifteen minutes.
        rate: f64,
        instances: Instances,
        /// The newest occurrences, newest first.
        occurrences: Vec<Occurrence>,
        /// Who counted how much, the largest counts first, 1,000 at most.
        sources: Vec<SourceCount>,
        /// What people did, newest first.
        history: Vec<Action>,
        /// How it came back; null if it did not.
        #[schema(required)]
        regression: Option<Regression>,
        /// Up to when its texts were forgotten.
        #[schema(required, format = DateTime)]
        forgotten_through: Option<String>,
    }

    /// One occurrence.
    Occurrence {
        #[schema(required)]
        error: Option<Exception>,
        /// The occurrence's uuid, or `hash:` and a hash of its content.
        uuid: String,
        /// When it happened; null if no usable time is known.
        #[schema(required, format = DateTime)]
        timestamp: Option<String>,
        severity: SeverityName,
        #[schema(required)]
        http_context: Option<HttpContext>,
    }

    /// An exception, and within it what caused it.
    Exception {
        #[schema(required)]
        class: Option<String>,
        #[schema(required)]
        message: Option<String>,
        /// One entry a frame, as the client formats it.
        stacktrace: Vec<String>,
        #[schema(required, no_recursion)]
        cause: Option<Box<Exception>>,
    }

    /// The request during which it happened.
    HttpContext {
        #[schema(required)]
        request_method: Option<String>,
        #[schema(required)]
        request_url: Option<String>,
        request_headers: BTreeMap<String, String>,
        #[schema(required)]
        request_body: Option<String>,
    }

    /// What one source counted of an error.
    SourceCount {
        /// What it calls itself.
        #[schema(required)]
        name: Option<String>,
        /// The labels of its target after relabelling.
        #[schema(required)]
        labels: Option<BTreeMap<String, String>>,
        count: u64,
        /// The newest time that it reported.
        #[schema(required, format = DateTime)]
        newest: Option<String>,
        /// Whether it is exported right now.
        exported: bool,
        #[schema(required, format = DateTime)]
        gone_since: Option<String>,
    }

    /// Something that somebody did to an error.
    Action {
        #[schema(format = DateTime)]
        at: String,
        by: String,
        why: String,
        action: ActionName,
        /// Of a mute that ends at a time.
        #[schema(format = DateTime)]
        #[serde(default)]
        until: Option<String>,
        /// Of a mute that ends after so many further occurrences.
        #[serde(default)]
        count: Option<u64>,
    }

    /// How an error came back that was resolved.
    Regression {
        /// Since when, as far as that is known.
        #[schema(format = DateTime)]
        since: String,
        /// On which instances; null for one that does not say who it is.
        instances: Vec<Option<String>>,
        resolved: Action,
    }

    /// Occurrences over time.
    SeriesPoints {
        #[schema(format = DateTime)]
        from: String,
        #[schema(format = DateTime)]
        to: String,
        /// The step between two points, as a duration.
        step: String,
        points: Vec<Point>,
    }

    /// What happened within one step.
    Point {
        #[schema(format = DateTime)]
        at: String,
        count: u64,
    }

    /// Counts by the value of a label.
    LabelCounts {
        label: String,
        /// The largest first, 1,000 at most; `""` is what instances without the label counted.
        counts: Vec<LabelCount>,
    }

    /// The count of one value.
    LabelCount {
        value: String,
        count: u64,
    }

    /// The services that are configured and those that are known.
    ServiceList {
        services: Vec<ServiceSummary>,
    }

    /// One service.
    ServiceSummary {
        name: String,
        /// Whether it is in the configuration.
        configured: bool,
        /// Targets by health: `up`, `down`, `unknown`.
        targets: BTreeMap<String, u64>,
        /// Errors by state.
        errors: BTreeMap<String, u64>,
    }

    /// What became of something that was to be done to several errors.
    Done {
        /// How many were listed, or found.
        matched: u64,
        /// To how many it was done.
        done: u64,
        /// Those that are not there.
        unknown: Vec<ErrorName>,
    }

    /// Names an error.
    ErrorName {
        service: String,
        aggregation_key: String,
    }

    /// Prometheus's targets API.
    TargetsAnswer {
        status: String,
        data: TargetsData,
    }

    /// Active and dropped targets.
    #[serde(rename_all = "camelCase")]
    TargetsData {
        active_targets: Vec<ActiveTarget>,
        /// 1,000 at most.
        dropped_targets: Vec<DroppedTarget>,
        /// By service.
        dropped_target_counts: BTreeMap<String, u64>,
    }

    /// A target that is scraped.
    #[serde(rename_all = "camelCase")]
    ActiveTarget {
        discovered_labels: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
        scrape_pool: String,
        scrape_url: String,
        global_url: String,
        last_error: String,
        #[schema(format = DateTime)]
        last_scrape: String,
        /// In seconds.
        last_scrape_duration: f64,
        health: String,
        scrape_interval: String,
        scrape_timeout: String,
    }

    /// A target that relabelling dropped, or that is none.
    #[serde(rename_all = "camelCase")]
    DroppedTarget {
        discovered_labels: BTreeMap<String, String>,
        scrape_pool: String,
        #[serde(default)]
        last_error: Option<String>,
    }

    /// The configuration in force.
    ConfigAnswer {
        status: String,
        data: ConfigData,
    }

    /// The configuration in force.
    ConfigData {
        /// Secrets are shown as `<secret>`.
        yaml: String,
    }

    /// What this server is.
    BuildAnswer {
        status: String,
        data: BuildData,
    }

    /// What this server is.
    BuildData {
        version: String,
    }

    /// How this server fares.
    RuntimeAnswer {
        status: String,
        data: RuntimeData,
    }

    /// How this server fares.
    #[serde(rename_all = "camelCase")]
    RuntimeData {
        #[schema(format = DateTime)]
        start_time: String,
        #[schema(format = DateTime)]
        server_time: String,
        reload_config_success: bool,
        #[schema(format = DateTime)]
        last_config_time: String,
        #[schema(required)]
        listen_address: Option<String>,
        access_control: bool,
        #[schema(required)]
        store: Option<StoreData>,
        services: u64,
        targets: u64,
        errors: u64,
        replica: String,
    }

    /// How the store fares.
    #[serde(rename_all = "camelCase")]
    StoreData {
        name: String,
        loaded: bool,
        up: bool,
        #[schema(format = DateTime)]
        since: String,
        #[schema(required)]
        last_error: Option<String>,
        /// Errors that wait to be written.
        pending: u64,
    }

    /// Why a request was not done (RFC 9457).
    ProblemDetails {
        #[serde(rename = "type")]
        kind: String,
        title: String,
        status: u16,
        detail: String,
        #[serde(default)]
        suggestion: Option<String>,
        /// In the text of a parameter: the character, from 0.
        #[serde(default)]
        position: Option<u64>,
        /// In the body: the byte, from 0.
        #[serde(default)]
        offset: Option<u64>,
        #[serde(default)]
        line: Option<u64>,
        #[serde(default)]
        column: Option<u64>,
    }
}

/// The order of a list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SortName {
    LastSeen,
    FirstSeen,
    Count,
    Rate,
}

/// Which way a list is sorted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OrderName {
    Asc,
    Desc,
}

/// A state that can be asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StateChoice {
    /// Open, and first seen within a day.
    New,
    Open,
    Regressed,
    Resolved,
    Muted,
}

/// Which targets.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TargetState {
    Any,
    Active,
    Dropped,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// In the query language.
    query: Option<String>,
    service: Option<Vec<String>>,
    #[param(inline)]
    severity: Option<Vec<SeverityName>>,
    #[param(inline)]
    state: Option<Vec<StateChoice>>,
    /// Only what was seen at or after this.
    #[param(format = DateTime)]
    seen_since: Option<String>,
    #[param(inline)]
    sort: Option<SortName>,
    #[param(inline)]
    order: Option<OrderName>,
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// A label whose values are to be counted.
    facet_label: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SeriesParams {
    #[param(format = DateTime)]
    from: Option<String>,
    #[param(format = DateTime)]
    to: Option<String>,
    /// A duration, at least `1m`; a multiple of `1h` reaches back 30 days, any other one day.
    #[param(example = "15m")]
    step: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventParams {
    /// Only of these services.
    service: Option<Vec<String>>,
    /// The id of the last event that was heard, where no header can be sent.
    last_event_id: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TargetParams {
    #[param(inline)]
    state: Option<TargetState>,
    /// Only of this service.
    #[param(rename = "scrapePool")]
    scrape_pool: Option<String>,
}
