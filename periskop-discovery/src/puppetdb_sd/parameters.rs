//! Parameters of resources, which may be any JSON, as labels.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::label::sanitize;

/// The labels of parameters, their names without a prefix. What has an empty value has no label.
pub(super) fn labels(parameters: &Map<String, Json>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (name, value) in parameters {
        let text = match value {
            Json::Array(items) => {
                let items: Vec<_> = items.iter().map(|i| scalar(i).unwrap_or_default()).collect();
                items.join(",")
            }
            Json::Object(inner) => {
                let prefix = sanitize(&format!("{name}_"));
                let inner = self::labels(inner).into_iter();
                labels.extend(inner.map(|(name, value)| (format!("{prefix}{name}"), value)));
                continue;
            }
            other => scalar(other).unwrap_or_default(),
        };
        if !text.is_empty() {
            labels.insert(sanitize(name), text);
        }
    }
    labels
}

/// The text of a value that is neither a list nor an object nor nothing.
fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Bool(value) => Some(value.to_string()),
        Json::Number(number) => number.as_f64().map(float),
        _ => None,
    }
}

/// A number as Go's `strconv.FormatFloat(x, 'g', -1, 64)` prints it: as few digits as tell it from
/// others, and with an exponent where that is below -4 or above 5.
fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..=5).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(parameters: &Json) -> Vec<(String, String)> {
        labels(parameters.as_object().unwrap()).into_iter().collect()
    }

    #[test]
    fn values_become_texts_and_objects_are_flattened() {
        let parameters = json!({
            "s": "x", "b": false, "n": null, "e": "", "none": [], "list": ["a", true, 1, null, ["z"], 2.5],
            "object": {"in-ner": {"k": 1}, "empty": {}},
        });
        let wanted =
            [("b", "false"), ("list", "a,true,1,,,2.5"), ("object_in_ner_k", "1"), ("s", "x")];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(of(&parameters), wanted);
    }

    #[test]
    fn numbers_print_as_go_prints_them() {
        for (number, printed) in [
            (json!(0), "0"),
            (json!(999_999), "999999"),
            (json!(1_000_000), "1e+06"),
            (json!(1_234_567), "1.234567e+06"),
            (json!(0.0001), "0.0001"),
            (json!(0.00001), "1e-05"),
            (json!(-2.5), "-2.5"),
            (json!(1e22), "1e+22"),
        ] {
            assert_eq!(scalar(&number).as_deref(), Some(printed));
        }
    }
}
