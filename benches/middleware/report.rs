//! The table for people, the gates, and the line for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::drive::Cost;

/// Everything that was measured, by its name.
#[derive(Debug, Default)]
pub(crate) struct Rows(BTreeMap<&'static str, (usize, Cost)>);

/// What holds or does not between two runs of one layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratios {
    /// A first run of the ledger, by its commits alone.
    pub(crate) first_run: f64,
    /// Calls of two threads on one breaker, by those of one.
    pub(crate) two_threads: f64,
    pub(crate) peer_two_threads: f64,
    /// The cost of a time window with 10,000 calls, by that of one with 500.
    pub(crate) window: f64,
    pub(crate) peer_window: f64,
}

/// What a peer cost where the gates were set, in nanoseconds: resilience facts of the design.
const REFERENCE: [(&str, f64); 5] = [
    ("peer_breaker", 258.0),
    ("peer_limiter", 10.0),
    ("peer_limiter_keyed100k", 94.0),
    ("peer_retry", 67.0),
    ("peer_stack", 597.0),
];

/// A time that must not be passed, and the peer by whose row it is scaled.
///
/// Of an open breaker and of a limit the read of the clock is the most. `breaker_open` and
/// `limiter_keyed100k` read the processor's counter, as governor does; the rows that end in
/// `_runtime` read the runtime's clock, the default.
const GATES: [(&str, f64, &str); 6] = [
    ("breaker", 75.0, "peer_breaker"),
    ("breaker_open", 40.0, "peer_breaker"),
    ("limiter", 35.0, "peer_limiter"),
    ("limiter_keyed100k", 100.0, "peer_limiter_keyed100k"),
    ("retry", 16.0, "peer_retry"),
    ("core6", 290.0, "peer_stack"),
];

/// Rows that must not allocate.
const FREE: [&str; 15] = [
    "breaker",
    "breaker_pending",
    "breaker_open",
    "breaker_open_runtime",
    "limiter",
    "limiter_counter",
    "limiter_layer",
    "limiter_layer_pending",
    "limiter_keyed100k",
    "limiter_keyed100k_runtime",
    "retry",
    "retry_pending",
    "timeout",
    "core6",
    "core6_pending",
];

impl Ratios {
    /// Ours must hold, and the peer's defects must be there, or the comparison says nothing.
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.two_threads < 0.8 {
            problems
                .push(format!("two threads on one breaker: {:.2}, at least 0.8", self.two_threads));
        }
        if self.first_run > 1.5 {
            problems.push(format!(
                "idempotency_first: {:.2} times its commits alone, at most 1.5",
                self.first_run
            ));
        }
        if self.window > 1.5 {
            problems
                .push(format!("a full time window costs {:.2} times an empty one", self.window));
        }
        if self.peer_two_threads > 0.8 || self.peer_window < 3.0 {
            problems.push("the peer has lost its defects: look at its version".to_owned());
        }
        problems
    }
}

impl Rows {
    /// Adds a row; the table keeps their order. Of one that was measured before the faster counts.
    pub(crate) fn add(&mut self, name: &'static str, cost: Cost) {
        let order = self.0.len();
        let (_, known) = self.0.entry(name).or_insert((order, cost));
        known.ns = known.ns.min(cost.ns);
    }

    fn get(&self, name: &str) -> Cost {
        self.0.get(name).map(|(_, cost)| *cost).unwrap_or_default()
    }

    pub(crate) fn ns(&self, name: &str) -> f64 {
        self.get(name).ns
    }

    /// A gate as it is on this machine, today.
    fn scaled(&self, gate: f64, peer: &str) -> f64 {
        let reference = REFERENCE.iter().find(|(name, _)| *name == peer).map_or(1.0, |(_, ns)| *ns);
        gate * self.ns(peer) / reference
    }

    /// Prints all rows in their order.
    pub(crate) fn table(&self) {
        println!("{:<30} {:>10} {:>10} {:>12}", "row", "ns a call", "allocs", "gate here");
        let mut rows: Vec<_> = self.0.iter().collect();
        rows.sort_by_key(|(_, (order, _))| *order);
        for (name, (_, cost)) in rows {
            let gate = GATES.iter().find(|(row, ..)| row == name);
            let gate = gate
                .map_or_else(String::new, |(_, ns, peer)| format!("{:.1}", self.scaled(*ns, peer)));
            println!("{name:<30} {:>10.1} {:>10.2} {gate:>12}", cost.ns, cost.allocs);
        }
    }

    /// What does not hold, one line each.
    pub(crate) fn problems(&self, ratios: &Ratios) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, gate, peer) in GATES {
            let (ns, most) = (self.ns(name), self.scaled(gate, peer));
            // A retry clones what is inside, once a call: that is measured by itself.
            let ns = if name == "retry" { ns - self.ns("retry_clone") } else { ns };
            if ns > most {
                problems.push(format!("{name}: {ns:.1} ns, at most {most:.1} (scaled by {peer})"));
            }
        }
        for name in FREE {
            let allocs = self.get(name).allocs;
            if allocs > 0.0 {
                problems.push(format!("{name}: {allocs:.2} allocations, none are allowed"));
            }
        }
        problems.extend(ratios.problems());
        // Through `dyn`, and through eight layers more, beyond the ledger with a static leaf.
        let beyond = self.get("dyn").allocs - self.get("idempotency_first").allocs;
        if beyond > 3.0 {
            problems.push(format!("dyn: {beyond:.2} allocations beyond its ledger, at most 3"));
        }
        let (replay, most) = (self.ns("idempotency_replay"), 250.0);
        if replay > most {
            problems.push(format!("idempotency_replay: {replay:.1} ns, at most {most:.1}"));
        }
        problems
    }

    /// The line for programs.
    pub(crate) fn json(&self, ratios: &Ratios, core6: &[&str], erased: &[&str]) -> Value {
        let mut line = serde_json::Map::new();
        for (name, (_, cost)) in &self.0 {
            line.insert(format!("{name}_ns"), json!((cost.ns * 10.0).round() / 10.0));
            line.insert(format!("{name}_allocs"), json!(cost.allocs));
        }
        let ratios = [
            ("idempotency_first_ratio", ratios.first_run),
            ("breaker_2t_ratio", ratios.two_threads),
            ("peer_breaker_2t_ratio", ratios.peer_two_threads),
            ("breaker_window_growth", ratios.window),
            ("peer_breaker_window_growth", ratios.peer_window),
        ];
        for (name, ratio) in ratios {
            line.insert(name.to_owned(), json!((ratio * 100.0).round() / 100.0));
        }
        line.insert("core6_layers".to_owned(), json!(core6));
        line.insert("dyn_layers".to_owned(), json!(erased));
        Value::Object(line)
    }
}
