//! `redact`: what is masked beyond the defaults.

use periskop_core::config::{At, Fields, Problems};
use periskop_core::redact::Redaction;

/// `enabled`, `headers`, `url_params`, `body_fields`.
pub(super) fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Redaction> {
    let mut fields = Fields::new(at, problems)?;
    let redaction = Redaction {
        enabled: fields.bool("enabled").unwrap_or(true),
        headers: fields.string_list("headers").unwrap_or_default(),
        url_params: fields.string_list("url_params").unwrap_or_default(),
        body_fields: fields.string_list("body_fields").unwrap_or_default(),
    };
    fields.finish();
    Some(redaction)
}
