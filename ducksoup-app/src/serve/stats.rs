// SPDX-License-Identifier: MPL-2.0

//! The stats page: what runs, as a table for people and as JSON for programs. Pure.

use serde_json::Value;
use std::fmt::Write as _;

/// The page. `figures` is the list of the lobby.
pub(crate) fn page(figures: &Value) -> String {
    const COLUMNS: [&str; 6] = ["origin", "namespace", "interaction", "id", "phase", "users"];
    let mut rows = String::new();
    for run in figures.as_array().into_iter().flatten() {
        rows.push_str("<tr>");
        for column in COLUMNS {
            let text = match run.get(column) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Array(parts)) => {
                    let parts: Vec<_> = parts.iter().filter_map(Value::as_str).collect();
                    parts.join(", ")
                }
                Some(other) => other.to_string(),
                None => String::new(),
            };
            let _ = write!(rows, "<td>{}</td>", escape(&text));
        }
        let stats = run.get("stats").unwrap_or(&Value::Null).to_string();
        let _ = write!(rows, "<td><code>{}</code></td></tr>", escape(&stats));
    }
    let heads: String = COLUMNS
        .iter()
        .chain(&["stats"])
        .map(|column| format!("<th>{column}</th>"))
        .collect();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>DuckSoup stats</title>\
         <meta http-equiv=\"refresh\" content=\"5\"></head><body><h1>Interactions</h1>\
         <p>As JSON: <a href=\"interactions.json\">interactions.json</a></p>\
         <table border=\"1\"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></body></html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_is_a_row_and_no_text_becomes_markup() {
        let figures = json!([{"origin": "<script>&", "namespace": "n", "interaction": "i",
            "id": "abc", "phase": "open", "users": ["a", "b"], "stats": {"x": "</code>"}}]);
        let page = page(&figures);
        assert!(page.contains("<td>&lt;script&gt;&amp;</td>"), "{page}");
        assert!(page.contains("<td>a, b</td>"), "{page}");
        assert!(page.contains("&lt;/code&gt;"), "{page}");
        assert!(!page.contains("<script>"), "{page}");
    }
}
