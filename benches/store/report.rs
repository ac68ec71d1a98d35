//! The table for people, and the line for programs.

use serde_json::{Map, Value, json};

use super::{Row, probe::Speed};

/// Prints everything that was measured.
pub(crate) fn table(rows: u64, measured: &[Row]) {
    println!(
        "{:<9} {:>7} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {:>7} {:>9} {:>9} {:>6} {:>7}",
        "engine",
        "seq/s",
        "p50/p99us",
        "64/s",
        "p50us",
        "p99us",
        "of raw",
        "gets/s",
        "pages/s",
        "B/row",
        "reopen ms",
        "gw msg/s",
        "crates",
        "build s"
    );
    for row in measured {
        let build = row.build_s.map_or_else(|| "-".to_owned(), |s| format!("{s:.0}"));
        println!(
            "{:<9} {:>7.0} {:>9} {:>9.0} {:>9.0} {:>9.0} {:>7.0}% {:>8.0} {:>8.0} {:>7.0} \
             {:>9.1} {:>9.0} {:>6} {:>7}",
            row.engine,
            row.seq.per_s,
            format!("{:.0}/{:.0}", row.seq.p50_us, row.seq.p99_us),
            row.group.per_s,
            row.group.p50_us,
            row.group.p99_us,
            100.0 * row.group.per_s / row.raw.group.per_s.max(1.0),
            row.gets.per_s,
            row.scans.per_s,
            row.bytes,
            row.reopen_ms,
            row.gateway.per_s,
            row.crates,
            build
        );
    }
    for row in measured {
        println!(
            "{}: {rows} rows written in {:.1} s; raw append and fdatasync just before: {:.0}/s by \
             one, {:.0}/s by 64 (p99 {:.0} us); {} rows acknowledged before the SIGKILL, all \
             looked for; the gateway's path p99 {:.1} ms over {:.0} s",
            row.engine,
            row.fill_s,
            row.raw.one.per_s,
            row.raw.group.per_s,
            row.raw.group.p99_us,
            row.acknowledged,
            row.gateway.p99_ms,
            row.gateway.secs,
        );
    }
    println!(
        "\nA row: 29 bytes of key in no order, 256 bytes of value that don't compress. An insert \
         is a guard and a put, durable when answered.\nPages: 100 rows. Reopen: from the dead \
         process (and its server, started again) to the first row read.\nCrates: what the \
         engine adds to core's tree; build: what a cold release build takes longer by."
    );
}

/// One JSON object, in one line.
pub(crate) fn json(measured: &[Row]) -> Value {
    let engines: Map<String, Value> =
        measured.iter().map(|row| (row.engine.to_string(), engine(row))).collect();
    let raw = |of: fn(&Row) -> Speed| mean(measured.iter().map(|row| of(row).per_s));
    json!({
        "engines": engines,
        "raw_seq": raw(|row| row.raw.one),
        "raw_group64": raw(|row| row.raw.group),
    })
}

fn engine(row: &Row) -> Value {
    json!({
        "seq": row.seq.per_s.round(),
        "seq_p50_us": row.seq.p50_us.round(),
        "seq_p99_us": row.seq.p99_us.round(),
        "group64": row.group.per_s.round(),
        "p50_us": row.group.p50_us.round(),
        "p99_us": row.group.p99_us.round(),
        "gets_per_s": row.gets.per_s.round(),
        "scan100_per_s": row.scans.per_s.round(),
        "reopen_ms": (row.reopen_ms * 10.0).round() / 10.0,
        "bytes": row.bytes.round(),
        "gateway_msgs_per_s": row.gateway.per_s.round(),
        "gateway_p99_ms": (row.gateway.p99_ms * 100.0).round() / 100.0,
        "raw_group64": row.raw.group.per_s.round(),
        "crates": row.crates,
        "build_s": row.build_s.map(f64::round),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a handful of engines")]
fn mean(figures: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = figures.len().max(1) as f64;
    (figures.sum::<f64>() / count).round()
}
