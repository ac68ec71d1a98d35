//! The table for people, the gates, and the line for programs.

use serde_json::{Value, json};

use super::drive::Cost;

/// Everything that was measured, in order.
#[derive(Debug, Default)]
pub(crate) struct Rows(Vec<(&'static str, Cost)>);

/// Allocations that a row may make at most.
const MOST: [(&str, f64); 4] = [
    ("resolve_10k", 0.0),
    ("resolve_10k_canary", 0.0),
    ("resolve_10k_text", 1.0),
    ("policy_1k_rules", 0.0),
];

impl Rows {
    pub(crate) fn add(&mut self, name: &'static str, cost: Cost) {
        self.0.push((name, cost));
    }

    /// Prints all rows.
    pub(crate) fn table(&self) {
        println!("{:<24} {:>10} {:>10}", "row", "ns a call", "allocs");
        for (name, Cost { ns, allocs }) in &self.0 {
            println!("{name:<24} {ns:>10.1} {allocs:>10.2}");
        }
    }

    /// What does not hold, one line each.
    pub(crate) fn problems(&self) -> Vec<String> {
        let of =
            |row: &str| self.0.iter().find(|(name, _)| *name == row).map(|(_, cost)| cost.allocs);
        let over = |(row, most): (&str, f64)| {
            let allocs = of(row).unwrap_or(f64::MAX);
            (allocs > most).then(|| format!("{row}: {allocs:.2} allocations, at most {most}"))
        };
        MOST.into_iter().filter_map(over).collect()
    }

    /// The line for programs.
    pub(crate) fn json(&self) -> Value {
        let mut line = serde_json::Map::new();
        for (name, Cost { ns, allocs }) in &self.0 {
            line.insert(format!("{name}_ns"), json!((ns * 10.0).round() / 10.0));
            line.insert(format!("{name}_allocs"), json!(allocs));
        }
        Value::Object(line)
    }
}
